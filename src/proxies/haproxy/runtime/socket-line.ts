import { connect } from 'node:net'
import { HostlerError } from '../../../lib/errors.js'
import { printable } from '../../../lib/printable.js'
import { socketTimedOut, socketTooLong, socketUnreachable } from '../socket-errors.js'

/**
 * What ends every reply in interactive mode. No reply of HAProxy's holds it: each line of a dump begins with a number, a
 * name of the configuration or a field's name, and a message quotes no line break.
 */
export const PROMPT = '\n> '

/** A connection in interactive mode: one exchange after the other. After one that fails it is of no use any more. */
export interface Line {
  /** Sends `text` and gives the bytes up to and with the last of so many prompts. `label` stands for it in errors. */
  exchange(label: string, text: string, prompts: number): Promise<string>
  close(): void
}

export interface LineOptions {
  readonly path: string
  readonly timeoutMs: number
  readonly maxReplyBytes: number
  readonly signal: AbortSignal
}

interface Waiting {
  readonly label: string
  readonly prompts: number
  readonly timer: NodeJS.Timeout
  resolve(text: string): void
  reject(error: unknown): void
}

export function openLine({ path, timeoutMs, maxReplyBytes, signal }: LineOptions): Line {
  const socket = connect(path)
  const received = createReceived()
  let waiting: Waiting | undefined
  let failure: { error: unknown } | undefined

  const settle = () => {
    const one = waiting
    waiting = undefined
    clearTimeout(one?.timer)
    return one
  }
  const fail = (error: unknown) => {
    failure ??= { error }
    socket.destroy()
    settle()?.reject(failure.error)
  }
  const onAbort = () => fail(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  socket.on('error', (error) =>
    fail(socketUnreachable(path, waiting?.label ?? '', 'stats socket PATH level admin', error)),
  )
  socket.on('close', () => fail(closed(path, waiting?.label ?? '', received.text())))
  socket.on('data', (chunk: Buffer) => {
    received.add(chunk)
    if (waiting === undefined) return fail(unasked(path, received.text()))
    if (received.bytes() > maxReplyBytes) return fail(socketTooLong(path, waiting.label, maxReplyBytes))
    const prompts = received.endsWithPrompt() ? received.prompts() : 0
    if (prompts > waiting.prompts) return fail(unasked(path, received.text()))
    if (prompts === waiting.prompts) settle()?.resolve(received.take())
  })

  return {
    exchange(label, text, prompts) {
      if (failure) return Promise.reject(failure.error)
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => fail(socketTimedOut(path, label, timeoutMs)), timeoutMs)
        waiting = { label, prompts, timer, resolve, reject }
        socket.write(text)
      })
    },
    close() {
      signal.removeEventListener('abort', onAbort)
      fail(closed(path, 'quit', ''))
    },
  }
}

/** The bytes since the last reply; looked at as text only when they may be complete. */
function createReceived() {
  let chunks: Buffer[] = []
  let bytes = 0
  let tail = ''
  /** Of all chunks; a dump of 10,000 backends holds 3 MB. */
  let whole: string | undefined
  const received = {
    bytes: () => bytes,
    add(chunk: Buffer) {
      chunks.push(chunk)
      whole = undefined
      bytes += chunk.length
      tail = (tail + chunk.toString('latin1', Math.max(0, chunk.length - PROMPT.length))).slice(-PROMPT.length)
    },
    endsWithPrompt: () => tail === PROMPT,
    text() {
      whole ??= Buffer.concat(chunks).toString('utf8')
      return whole
    },
    prompts: () => received.text().split(PROMPT).length - 1,
    take() {
      const text = received.text()
      chunks = []
      whole = undefined
      bytes = 0
      tail = ''
      return text
    },
  }
  return received
}

function closed(path: string, label: string, text: string): HostlerError {
  const got = text === '' ? 'nothing' : `"${printable(text, 120)}"`
  return new HostlerError(
    'HAPROXY_SOCKET_CLOSED',
    `HAProxy's socket ${path} was closed before \`${label}\` was answered in full (${got} came). Did the worker end? Its state has to be read again.`,
  )
}

function unasked(path: string, text: string): HostlerError {
  return new HostlerError(
    'HAPROXY_SOCKET_GARBAGE',
    `HAProxy's socket ${path} answered more than was asked ("${printable(text, 120)}"), so its replies cannot be told apart.`,
  )
}
