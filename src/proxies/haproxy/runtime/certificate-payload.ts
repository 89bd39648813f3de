import { X509Certificate } from 'node:crypto'
import { MAX_COMMAND_BYTES, PAYLOAD_FRAME_BYTES } from './socket-command.js'

/** A PEM text as the payload of `set ssl cert`: an empty line would end it. */
export const asPayload = (pem: string): string =>
  pem
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n')

/** Why a certificate cannot be handed over at run time; undefined when it can. */
export function unsendable(path: string, pem: string): string | undefined {
  if (!isListablePath(path)) return "HAProxy's runtime API would take its path for something else"
  const bytes = Buffer.byteLength(`set ssl cert ${path}${asPayload(pem)}`) + PAYLOAD_FRAME_BYTES
  if (bytes <= MAX_COMMAND_BYTES) return undefined
  return `it takes ${bytes} bytes, more than the ${MAX_COMMAND_BYTES} of HAProxy's runtime API`
}

/** A blank or bracket ends the path in a line of a list, and `:` begins the number of a line. */
export const isListablePath = (path: string): boolean => !/[\s:[\]#]|^$/.test(path)

/** SHA-1 of the first certificate in a text, as HAProxy shows it; undefined when there is none. */
export function printOf(pem: string): string | undefined {
  try {
    return new X509Certificate(pem).fingerprint.replaceAll(':', '')
  } catch {
    return undefined
  }
}
