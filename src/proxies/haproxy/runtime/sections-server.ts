import { isIP, SocketAddress } from 'node:net'
import { serverOption } from './sections-server-options.js'
import { SEPARATOR, wordsOf } from './sections-words.js'

/** One `server` line of a backend. */
export interface ServerLine {
  readonly name: string
  /** The whole line, read. */
  readonly text: string
  /** Where it leads, when that is an IP address and a port; undefined for names, sockets, variables and the like. */
  readonly target?: { readonly address: string; readonly port: number }
  /** 1 where the line has none; undefined when it cannot be told from the line. */
  readonly weight?: number
  /** Every word after the address. */
  readonly words: readonly string[]
  /** Each option with its values; undefined when one of them is unknown, so that only the whole line can be compared. */
  readonly options?: readonly (readonly string[])[]
  /** All that is neither address nor weight: what cannot be changed while it runs. */
  readonly fixed: string
}

/** @param text a read line that starts with `server` */
export function readServer(text: string): ServerLine {
  const [, name = '', where = '', ...words] = wordsOf(text)
  const target = targetOf(where)
  const options = optionsOf(words)
  const place = target ? [] : [where]
  if (options === undefined) {
    return { name, text, ...(target && { target }), words, fixed: [...place, ...words].join(SEPARATOR) }
  }
  const weight = weightOf(options)
  const others = weight === undefined ? options : options.filter(([option]) => option !== 'weight')
  return {
    name,
    text,
    ...(target && { target }),
    ...(weight !== undefined && { weight }),
    words,
    options,
    fixed: [...place, ...others.flat()].join(SEPARATOR),
  }
}

export const hasOption = ({ options }: ServerLine, name: string): boolean =>
  options?.some(([option]) => option === name) === true

/** IP addresses in the one form that can be compared. */
export function sameAddress(a: string, b: string): boolean {
  return a === b || (isIP(a) === 6 && isIP(b) === 6 && canonical(a) === canonical(b))
}

const canonical = (address: string): string => new SocketAddress({ address, family: 'ipv6' }).address

function targetOf(where: string): { address: string; port: number } | undefined {
  const [, six, four, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(where) ?? []
  const address = six ?? four ?? ''
  const port = Number(digits)
  return isIP(address) === (six === undefined ? 4 : 6) && port >= 1 && port <= 65_535 ? { address, port } : undefined
}

function optionsOf(words: readonly string[]): string[][] | undefined {
  const options: string[][] = []
  for (let index = 0; index < words.length; ) {
    const known = serverOption(words[index] ?? '')
    if (known === undefined || index + known.values >= words.length) return undefined
    options.push(words.slice(index, index + known.values + 1))
    index += known.values + 1
  }
  return options
}

/** The last one counts, as HAProxy has it. */
function weightOf(options: readonly (readonly string[])[]): number | undefined {
  const text = options.findLast(([option]) => option === 'weight')?.[1] ?? '1'
  return /^\d{1,3}$/.test(text) && Number(text) <= 256 ? Number(text) : undefined
}
