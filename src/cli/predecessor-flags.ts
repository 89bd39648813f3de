import { parseDuration } from '../lib/duration.js'
import { HostlerError } from '../lib/errors.js'

/**
 * Predecessor 2's flags, as Go programs take them: one dash or two, `-flag=value` or `-flag value`, a switch without a value
 * is true. Each becomes `--set KEY=VALUE`; those for what no longer needs a setting are taken and have no effect.
 */
const FLAGS: Readonly<Record<string, { readonly key?: string; readonly isSwitch?: boolean }>> = {
  'use-path-routing': { key: 'direct.pathRouting', isSwitch: true },
  'use-cookie-routing': { key: 'direct.cookieRouting', isSwitch: true },
  'container-prefix': { key: 'direct.containerPrefix' },
  'cookie-key': { key: 'direct.cookieKey' },
  'cookie-fallback-url': { key: 'direct.fallbackUrl' },
  'enable-mgmt-auth': { key: 'deploy.auth', isSwitch: true },
  'userspass-file': { key: 'deploy.usersFile' },
  'token-expire-time': { key: 'deploy.tokenTtl' },
  'traefik-base-url': { key: 'traefik.url' },
  'http-probe-timeout': { key: 'readiness.timeout' },
  'http-probe-ok-status': { key: 'direct.checkStatus' },
  'health-check-interval': { key: 'direct.checkInterval' },
  'health-check-retries': { key: 'direct.checkRetries' },
  // Readiness is probed every few milliseconds, and a request is held rather than sent away and asked back.
  'redirect-timeout': {},
  'traefik-check-enabled': { isSwitch: true },
  'traefik-platform': {},
  'token-cleanup-interval': {},
}

/**
 * @param args what stands behind the program's name
 * @param warn is told of each flag that has no effect
 * @returns the same with those flags in our words; cookie routing is on, as it was there, unless path routing is
 * @throws HostlerError `USAGE` for a flag without its value
 */
export function translateFlags(args: readonly string[], warn: (line: string) => void = () => undefined): string[] {
  const translated: string[] = []
  const given = new Map<string, string>()
  let isPredecessor = false
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? ''
    const [, name = '', , value] = /^--?([a-z][a-z-]+)(=(.*))?$/s.exec(arg) ?? []
    const flag = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined
    if (flag === undefined) {
      translated.push(arg)
      continue
    }
    isPredecessor = true
    const said = value ?? (flag.isSwitch ? 'true' : args[++index])
    if (said === undefined) throw new HostlerError('USAGE', `${arg} needs a value: ${arg}=…`)
    if (flag.key !== undefined) given.set(flag.key, inOneUnit(said))
    else warn(`${arg.split('=')[0]} has no effect any more; leave it out`)
  }
  if (!isPredecessor) return translated
  if (!given.has('direct.cookieRouting') && !isOn(given.get('direct.pathRouting')))
    given.set('direct.cookieRouting', 'true')
  return [...[...given].flatMap(([key, said]) => ['--set', `${key}=${said}`]), ...translated]
}

const isOn = (text: string | undefined): boolean => ['true', '1', 't', 'T', 'TRUE', 'True'].includes(text ?? '')

/** It took times of several units, `1h30m`; ours have one. */
function inOneUnit(text: string): string {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|h|m|s)){2,}$/.test(text)) return text
  const parts = text.match(/[\d.]+[a-z]+/g) ?? []
  return `${parts.reduce((sum, part) => sum + (parseDuration(part) ?? 0), 0)}ms`
}
