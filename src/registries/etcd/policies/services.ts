import { Ajv, type ValidateFunction } from 'ajv'
import { messageOf } from '../../../lib/errors.js'
import { printable } from '../../../lib/printable.js'
import { parseConfig } from './config-json.js'
import type { Config, Policy } from './policy.js'

/** One policy at work with one configuration. */
export interface Service {
  /** `skydns`, or `skydns/NAME`. */
  readonly name: string
  readonly policy: Policy
  readonly config: Config
  /** The file or the key in etcd that its configuration is from. */
  readonly origin?: string
  /** The policy as it is now takes this configuration no more: it is asked nothing, and what was said stays. */
  readonly isHeld?: true
}

/** A configuration as somebody wrote it, or why it cannot be read. */
export type ConfigText = {
  /** Empty: the only one of its policy. */
  readonly service: string
  /** The file or the key in etcd. */
  readonly origin: string
} & ({ readonly text: string } | { readonly error: string })

/** What was found of a policy's configurations. */
export interface ConfigTexts {
  /** Where two are for one service, the first counts. */
  readonly texts: readonly ConfigText[]
  /** False while there may be others. */
  readonly isComplete: boolean
}

/** Which services a policy has, given what was found of its configurations. */
export interface Services {
  read(found: ConfigTexts): {
    readonly services: readonly Service[]
    readonly troubles: readonly string[]
    /** False while it is not known what some service is to do. */
    readonly isKnown: boolean
  }
  /** As they were read last. */
  last(): readonly Service[]
}

type Found = { readonly service?: Service | undefined; readonly trouble?: string }

/**
 * A policy without a configuration is one service. One with a configuration has a service for each that is found; where none
 * is, and nobody can put one into etcd, one service with the defaults. A configuration that is wrong leaves its service as it
 * was, and so does one that may be there and cannot be read.
 * @param before the services of the policy before its file was edited
 * @throws Error when what the policy says of its configuration is no schema
 */
export function createServices(policy: Policy, before: readonly Service[] = []): Services {
  const { name, config: spec } = policy
  const validate = spec && compile(spec)
  let last = new Map(before.map((service) => [service.name, adopted(service)]))

  function adopted({ isHeld: _, ...service }: Service): Service {
    const config = structuredClone(service.config)
    const isGood = !validate || mistakesOf(validate, config).length === 0
    return isGood ? { ...service, policy, config } : { ...service, isHeld: true }
  }

  const fullName = (service: string): string => (service === '' ? name : `${name}/${service}`)

  function serviceOf(one: ConfigText): Found {
    const full = fullName(one.service)
    try {
      if ('error' in one) throw new Error(one.error)
      const config = parseConfig(one.text)
      const mistakes = validate ? mistakesOf(validate, config) : []
      if (mistakes.length > 0) throw new Error(mistakes.join('; '))
      return { service: known({ name: full, policy, config: config as Config, origin: one.origin }) }
    } catch (error) {
      const trouble = `policy ${name}: ${printable(one.origin, 300)} is not a configuration of it: ${printable(messageOf(error), 300)}; its nodes stay as they were`
      return { service: last.get(full), trouble }
    }
  }

  function withDefaults(): Found {
    const config = {}
    const mistakes = validate ? mistakesOf(validate, config) : []
    if (mistakes.length === 0) return { service: known({ name, policy, config }) }
    return { trouble: `policy ${name} needs a configuration (HOSTLER_SERVICES): ${mistakes.join('; ')}` }
  }

  /** The same object for what is the same. */
  function known(service: Service): Service {
    const before = last.get(service.name)
    return before && before.policy === policy && signature(before) === signature(service) ? before : service
  }

  function found({ texts, isComplete }: ConfigTexts): Found[] {
    if (texts.length === 0 && isComplete && spec?.etcdPath === undefined) return [withDefaults()]
    const names = new Set(texts.map(({ service }) => fullName(service)))
    const others = isComplete ? [] : [...last.values()].filter((service) => !names.has(service.name))
    return [
      ...texts.filter((one) => firstLike(one, texts) === one).map(serviceOf),
      ...others.map((service) => ({ service })),
    ]
  }

  return {
    read(given) {
      const all = found(given)
      const services = all.flatMap(({ service }) => service ?? [])
      last = new Map(services.map((service) => [service.name, service]))
      return {
        services,
        troubles: [...doublesIn(given.texts, name), ...all.flatMap(({ trouble }) => trouble ?? [])],
        isKnown: given.isComplete && services.length === all.length,
      }
    },
    last: () => [...last.values()],
  }
}

const signature = ({ origin, config }: Service): string => JSON.stringify([origin, config])

const firstLike = ({ service }: ConfigText, texts: readonly ConfigText[]) =>
  texts.find((one) => one.service === service)

const doublesIn = (texts: readonly ConfigText[], policy: string): string[] =>
  texts.flatMap((one) => {
    const first = firstLike(one, texts)
    if (!first || first === one) return []
    const [counts, other] = [first, one].map(({ origin }) => printable(origin, 300))
    return `policy ${policy}: ${counts} and ${other} are the same configuration; the first one counts: take the other away`
  })

/** @throws Error when the schema is none */
function compile({ etcdPath: _, ...schema }: NonNullable<Policy['config']>): ValidateFunction {
  const ajv = new Ajv({ useDefaults: true, allErrors: true, strict: false })
  return ajv.compile({ type: 'object', ...schema })
}

/** Fills in the defaults on the way. */
function mistakesOf(validate: ValidateFunction, config: unknown): string[] {
  if (validate(config)) return []
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath.slice(1) || 'it'} ${message}`)
}
