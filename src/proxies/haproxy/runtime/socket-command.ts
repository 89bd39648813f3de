import { HostlerError } from '../../../lib/errors.js'

/** One line, or one line with the text that follows its `<<`. */
export type Command = string | { readonly command: string; readonly payload: string }

/**
 * The longest command, payload included, in bytes. HAProxy's buffer holds 16 KB of which some are reserved; 29 KB made
 * 2.6.12 close the connection and crashed a worker of 3.2.0.
 */
export const MAX_COMMAND_BYTES = 15_000

/** What `wire` adds around a payload. */
export const PAYLOAD_FRAME_BYTES = ' <<\n\n\n'.length

/** The first line, which is what errors and logs may show. A payload may hold a private key. */
export const lineOf = (command: Command): string => (typeof command === 'string' ? command : command.command)

/**
 * A command line of these words, each of which reaches HAProxy as it is: blanks, `;` (which would begin another command)
 * and backslashes are escaped. Throws HAPROXY_COMMAND_UNSAFE for what cannot be escaped: line breaks and other control
 * characters, an empty word, and `<<`, which would make the commands that follow a payload.
 */
export function commandLine(...words: readonly string[]): string {
  return words.map(escaped).join(' ')
}

const UNESCAPABLE = /[\x00-\x1f\x7f]|^<<|^$/

function escaped(word: string): string {
  if (UNESCAPABLE.test(word)) throw unsafe(`the word ${JSON.stringify(word)}`)
  return word.replace(/[\\; ]/g, '\\$&')
}

/** The bytes to send. Throws HAPROXY_COMMAND_TOO_LONG, and HAPROXY_COMMAND_UNSAFE for a payload that would end early. */
export function wire(command: Command): string {
  const text = typeof command === 'string' ? `${command}\n` : `${command.command} <<\n${safePayload(command)}\n\n`
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_COMMAND_BYTES) throw tooLong(lineOf(command), bytes)
  if (lineOf(command).includes('\n')) throw unsafe(`the command ${JSON.stringify(lineOf(command))}`)
  return text
}

/** An empty line ends a payload: what follows it would be executed. */
function safePayload({ command, payload }: { command: string; payload: string }): string {
  if (/(?:^|\n)\s*(?:\n|$)|\0/.test(payload)) throw unsafe(`the payload of \`${command}\``)
  return payload
}

function unsafe(what: string): HostlerError {
  return new HostlerError(
    'HAPROXY_COMMAND_UNSAFE',
    `HAProxy's runtime API cannot be told ${what.slice(0, 200)}: it holds a line break or another character that would be taken for something else. A reload can.`,
  )
}

function tooLong(line: string, bytes: number): HostlerError {
  return new HostlerError(
    'HAPROXY_COMMAND_TOO_LONG',
    `\`${line.slice(0, 120)}\` is ${bytes} bytes long and HAProxy's runtime API takes ${MAX_COMMAND_BYTES}. A reload has no such limit.`,
  )
}
