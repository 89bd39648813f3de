import { Ajv, type ValidateFunction } from 'ajv'
import { messageOf } from '../../../lib/errors.js'
import { printable } from '../../../lib/printable.js'
import type { Config, Policy } from './policy.js'

/** One policy at work with one configuration. */
export interface Service {
  /** `skydns`, or `skydns/NAME`. */
  readonly name: string
  readonly policy: Policy
  readonly config: Config
}

/** A configuration as somebody wrote it. */
export interface ConfigText {
  /** Empty: the only one of its policy. */
  readonly service: string
  readonly text: string
  /** The file or the key in etcd. */
  readonly origin: string
}

/** Which services a policy has, given what was found of its configurations. */
export interface Services {
  /**
   * @param texts undefined while it is not known which there are: then they stay as they are
   */
  read(texts: readonly ConfigText[] | undefined): {
    readonly services: readonly Service[]
    readonly troubles: readonly string[]
  }
}

/**
 * A policy without a configuration is one service. One with a configuration has a service for each that is found; where none
 * is, and nobody can put one into etcd, one service with the defaults. A configuration that is wrong leaves its service as it
 * was.
 */
export function createServices(policy: Policy): Services {
  const { name, config: spec } = policy
  const validate = spec && compile(spec)
  let last = new Map<string, Service>()

  function serviceOf({ service, text, origin }: ConfigText): Service | { readonly trouble: string } {
    const full = service === '' ? name : `${name}/${service}`
    try {
      const config = JSON.parse(text) as unknown
      const mistakes = validate ? mistakesOf(validate, config) : []
      if (mistakes.length > 0) throw new Error(mistakes.join('; '))
      const known = last.get(full)
      return known && JSON.stringify(known.config) === JSON.stringify(config)
        ? known
        : { name: full, policy, config: config as Config }
    } catch (error) {
      return {
        trouble: `policy ${name}: ${printable(origin, 300)} is not a configuration of it: ${printable(messageOf(error), 300)}`,
      }
    }
  }

  function withDefaults(): Service | { readonly trouble: string } {
    const config = {}
    const mistakes = validate ? mistakesOf(validate, config) : []
    if (mistakes.length === 0) return last.get(name) ?? { name, policy, config }
    return { trouble: `policy ${name} needs a configuration (HOSTLER_SERVICES): ${mistakes.join('; ')}` }
  }

  return {
    read(texts) {
      if (texts === undefined) return { services: [...last.values()], troubles: [] }
      const isAlone = texts.length === 0 && spec?.etcdPath === undefined
      const found = isAlone ? [withDefaults()] : texts.map(serviceOf)
      const kept = texts.map(({ service }) => last.get(service === '' ? name : `${name}/${service}`))
      const services = found.flatMap((one, index) => ('trouble' in one ? (kept[index] ?? []) : one))
      last = new Map(services.map((service) => [service.name, service]))
      return { services, troubles: found.flatMap((one) => ('trouble' in one ? one.trouble : [])) }
    },
  }
}

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
