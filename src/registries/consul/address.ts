import { splitAddress } from '../../lib/consul/address.js'
import { HostlerError } from '../../lib/errors.js'
import { maskCredentials } from '../../lib/mask.js'
import { type Fields, fill, PLACEHOLDER, type Unknown } from './fields.js'

/** What an agent's address may be made of: nothing that a label says, or any container could be sent our token. */
const ADDRESS_FIELDS = ['host', 'environment', 'announcer']

/**
 * Where agents are, by placeholders: `http://%HOST%:8500`. User and password in it are taken as they stand, for there `%` is
 * what a URL writes `@` and the like with.
 */
export interface AddressTemplate {
  /** Without a placeholder there is one agent, always the same. */
  readonly isFixed: boolean
  readonly hasHost: boolean
  /** The host alone tells which agent it is. */
  readonly isByHost: boolean
  /** The address of the agent for an endpoint with these fields. */
  for(fields: Fields, unknown?: Unknown): string
  /** The same without user and password, and what it was before. */
  bare(url: string): string
  whole(bare: string): string
}

/** @throws HostlerError `CONFIG` for a placeholder that may not stand there */
export function readTemplate(url: string): AddressTemplate {
  const { scheme, credentials, rest } = splitAddress(url)
  const used = [...rest.matchAll(PLACEHOLDER)].map(([placeholder, name = '']) => ({
    placeholder,
    name: name.toLowerCase(),
  }))
  for (const { placeholder, name } of used) if (!ADDRESS_FIELDS.includes(name)) throw notAllowed(url, placeholder)
  const hasHost = used.some(({ name }) => name === 'host')
  return {
    isFixed: used.length === 0,
    hasHost,
    isByHost: hasHost && used.every(({ name }) => name !== 'environment'),
    for: (fields, unknown = () => undefined) => scheme + credentials + fill(rest, addressFields(fields), unknown),
    bare(filled) {
      const parts = splitAddress(filled)
      return parts.scheme + parts.rest
    },
    whole(bare) {
      const parts = splitAddress(bare)
      return parts.scheme + credentials + parts.rest
    },
  }
}

function notAllowed(url: string, placeholder: string): HostlerError {
  const known = ADDRESS_FIELDS.map((field) => `%${field.toUpperCase()}%`).join(', ')
  const reason = 'a label could send our token anywhere'
  return new HostlerError(
    'CONFIG',
    `${maskCredentials(url)}: ${placeholder} may not stand in Consul's address, for ${reason}; use ${known}`,
  )
}

const addressFields = (fields: Fields): Fields =>
  new Map(
    [...fields]
      .filter(([key]) => ADDRESS_FIELDS.includes(key))
      .map(([key, value]) => [key, value.includes(':') ? `[${value}]` : value.replace(/[^\w.-]/g, '-')]),
  )
