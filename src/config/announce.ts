import { hostname } from 'node:os'
import { REGISTRY_NAMES } from '../registries/names.js'
import { group, setting } from './setting.js'
import { bool, list, listOf, text } from './values.js'

/** Settings of registries, whichever they are. */

export const registriesSetting = setting(
  listOf(...REGISTRY_NAMES),
  '',
  'HOSTLER_REGISTRIES',
  'Where what runs is announced, comma list of `etcd` and `consul`.',
)

export const policiesSetting = setting(
  list(),
  'hostler',
  'HOSTLER_POLICIES KONTENA_REGISTRATOR_POLICIES',
  'Which nodes a container gets in etcd, comma list of built-in names (`hostler`, `skydns`, `traefik`), files and globs.',
)

export const servicesSetting = setting(
  text(),
  '',
  'HOSTLER_SERVICES KONTENA_REGISTRATOR_SERVICES',
  "Folder of policies' configurations: `POLICY.json`, or `POLICY/NAME.json` for several.",
)

export const announceSettings = group({
  name: setting(
    text(),
    '',
    'HOSTLER_ANNOUNCE_NAME',
    "What this process is called in registries; unique among all that write there. Default: the machine's (or container's) name.",
  ),
  address: setting(
    text(),
    '',
    'HOSTLER_ANNOUNCE_ADDRESS',
    'Where other hosts reach the published ports of this one. Empty: they are told the addresses of the containers themselves, for networks that span hosts.',
  ),
  withdraw: setting(
    bool(),
    false,
    'HOSTLER_ANNOUNCE_WITHDRAW',
    'Take back at once what was announced when Hostler is stopped. Otherwise it lasts until its lease ends, and a restart goes unnoticed.',
  ),
})

/** Without a proxy, and with a registry, a process announces what runs and does nothing else. */
export const onlyAnnounces = ({
  proxy,
  registries,
}: {
  readonly proxy: readonly string[]
  readonly registries: readonly string[]
}): boolean => registries.length > 0 && proxy.every((name) => name === 'none')

/** What this process is called in registries. */
export const announcerOf = ({ announce }: { readonly announce: { readonly name: string } }): string =>
  announce.name || hostname()
