import { isIPv4, isIPv6 } from 'node:net'
import type { ProxyProtocol } from '../../model/plan.js'

/** Who speaks to whom, for an app that wants to hear it in a PROXY protocol header. */
export interface Ends {
  readonly source: End
  readonly destination: End
  /** The client speaks TLS to the proxy. */
  readonly secure: boolean
}

export interface End {
  readonly address: string
  /** 0: unknown. */
  readonly port: number
}

/** The header that goes before everything else, as HAProxy's proxy-protocol.txt (version 3.3) has it. */
export function proxyHeader(version: ProxyProtocol, ends: Ends): Buffer {
  const sameFamily = inOneFamily(ends)
  return version === 'v1' ? versionOne(sameFamily) : versionTwo(sameFamily, version !== 'v2')
}

function versionOne(ends: Ends | undefined): Buffer {
  if (!ends) return Buffer.from('PROXY UNKNOWN\r\n')
  const { source, destination } = ends
  const family = isIPv4(source.address) ? 'TCP4' : 'TCP6'
  return Buffer.from(
    `PROXY ${family} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`,
    'latin1',
  )
}

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const PROXY_COMMAND = 0x21
const TCP4 = 0x11
const TCP6 = 0x21
const UNSPECIFIED = 0x00
const TLV_SSL = 0x20
const CLIENT_USED_TLS = 0x01
/** No certificate of the client has been verified. */
const NOT_VERIFIED = 1

function versionTwo(ends: Ends | undefined, tellsTls: boolean): Buffer {
  const addresses = ends ? addressBlock(ends) : Buffer.alloc(0)
  const tls = tellsTls && ends ? tlsBlock(ends.secure) : Buffer.alloc(0)
  const family = !ends ? UNSPECIFIED : isIPv4(ends.source.address) ? TCP4 : TCP6
  const head = Buffer.from([PROXY_COMMAND, family, 0, 0])
  head.writeUInt16BE(addresses.length + tls.length, 2)
  return Buffer.concat([SIGNATURE, head, addresses, tls])
}

function addressBlock({ source, destination }: Ends): Buffer {
  const ports = Buffer.alloc(4)
  ports.writeUInt16BE(source.port, 0)
  ports.writeUInt16BE(destination.port, 2)
  return Buffer.concat([bytesOf(source.address), bytesOf(destination.address), ports])
}

function tlsBlock(secure: boolean): Buffer {
  const block = Buffer.from([TLV_SSL, 0, 5, secure ? CLIENT_USED_TLS : 0, 0, 0, 0, 0])
  block.writeUInt32BE(NOT_VERIFIED, 4)
  return block
}

/** Both addresses as IPv4, or both as IPv6; undefined when one is neither. */
function inOneFamily({ source, destination, secure }: Ends): Ends | undefined {
  const all = [source.address, destination.address]
  if (!all.every((address) => isIPv4(address) || isIPv6(address))) return undefined
  if (all.every(isIPv4) || all.every(isIPv6)) return { source, destination, secure }
  return { source: asIPv6(source), destination: asIPv6(destination), secure }
}

const asIPv6 = ({ address, port }: End): End => ({ address: isIPv4(address) ? `::ffff:${address}` : address, port })

function bytesOf(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  // The URL parser writes every IPv6 address in its shortest form, with the last 32 bits in hexadecimal too.
  const text = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1)
  const [left = '', right] = text.split('::')
  const front = left.split(':').filter(Boolean)
  const back = (right ?? '').split(':').filter(Boolean)
  const words = [...front, ...Array<string>(8 - front.length - back.length).fill('0'), ...back]
  const bytes = Buffer.alloc(16)
  for (const [index, word] of words.entries()) bytes.writeUInt16BE(Number.parseInt(word, 16), index * 2)
  return bytes
}
