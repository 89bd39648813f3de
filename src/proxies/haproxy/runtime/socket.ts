import { HostlerError } from '../../../lib/errors.js'
import { printable } from '../../../lib/printable.js'
import { type Command, lineOf, MAX_COMMAND_BYTES, wire } from './socket-command.js'
import { type Line, type LineOptions, openLine, PROMPT } from './socket-line.js'

/** What HAProxy answered to one command, without the prompt that ended it. */
export interface Reply {
  /** Without its payload. */
  readonly command: string
  readonly text: string
}

/** One connection, hence one worker: after a reload it still speaks with the worker that it began with. */
export interface RuntimeSession {
  ask(command: Command): Promise<Reply>
  /** In this order. They are sent without waiting for each other's reply: only for commands that do not depend on it. */
  askAll(commands: readonly Command[]): Promise<Reply[]>
}

/**
 * The stats socket of HAProxy (`stats socket PATH level admin`).
 *
 * Spoken in interactive mode, because there alone is every reply marked as complete, by the prompt that follows it.
 * Measured on 2.6.12, 3.0.11, 3.2.26 and 3.4.0: `a;b` ends most replies with an empty line, but 2.6 ends `Server deleted.`
 * and the errors of `add server` without one, so that replies run into each other; several lines in one connection
 * are executed by 2.6 and dropped by 3.0. 100 map changes under load: 50 to 77 ms with one connection each, 7 to 25 ms one
 * after the other in interactive mode, 1 to 2 ms sent together.
 *
 * Every method throws HostlerError: HAPROXY_SOCKET_UNREACHABLE, _TIMEOUT, _TOO_LONG, _CLOSED (the stream ended before the
 * reply did), _GARBAGE (what answers is no stats socket), HAPROXY_COMMAND_TOO_LONG and _UNSAFE (nothing was sent).
 */
export interface RuntimeSocket {
  readonly path: string
  ask(command: Command, signal: AbortSignal): Promise<Reply>
  askAll(commands: readonly Command[], signal: AbortSignal): Promise<Reply[]>
  /** Opens one connection for `use`, and closes it when that has ended. */
  session<T>(use: (session: RuntimeSession) => Promise<T>, signal: AbortSignal): Promise<T>
}

export interface RuntimeSocketOptions {
  /** How long the reply to one command (or to the 15 KB of commands that are sent together) may take. */
  readonly timeoutMs?: number
  readonly maxReplyBytes?: number
}

export function createRuntimeSocket(path: string, options: RuntimeSocketOptions = {}): RuntimeSocket {
  const { timeoutMs = 2000, maxReplyBytes = 64 << 20 } = options
  const socket: RuntimeSocket = {
    path,
    ask: (command, signal) => socket.session((session) => session.ask(command), signal),
    askAll: (commands, signal) => socket.session((session) => session.askAll(commands), signal),
    session: (use, signal) => inSession({ path, timeoutMs, maxReplyBytes, signal }, use),
  }
  return socket
}

async function inSession<T>(options: LineOptions, use: (session: RuntimeSession) => Promise<T>): Promise<T> {
  options.signal.throwIfAborted()
  const line = openLine(options)
  try {
    await greet(line, options.path)
    return await use({
      ask: (command) => askOne(line, command),
      askAll: (commands) => askInBatches(line, commands),
    })
  } finally {
    line.close()
  }
}

const GREETING = 'prompt\nset severity-output number\n'

async function greet(line: Line, path: string): Promise<void> {
  const reply = await line.exchange('prompt', GREETING, 2)
  if (reply !== PROMPT + PROMPT) throw noStatsSocket(path, reply)
}

async function askOne(line: Line, command: Command): Promise<Reply> {
  const text = await line.exchange(lineOf(command), wire(command), 1)
  return { command: lineOf(command), text: withoutPrompts(text.slice(0, -PROMPT.length)) }
}

async function askInBatches(line: Line, commands: readonly Command[]): Promise<Reply[]> {
  const replies: Reply[] = []
  for (const batch of batches(commands)) {
    const text = await line.exchange(batch.lines[0] ?? '', batch.text, batch.lines.length)
    const parts = text.slice(0, -PROMPT.length).split(PROMPT)
    replies.push(...batch.lines.map((command, i) => ({ command, text: withoutPrompts(parts[i] ?? '') })))
  }
  return replies
}

interface Batch {
  lines: string[]
  text: string
}

/** All are checked before the first is sent. */
function batches(commands: readonly Command[]): Batch[] {
  const made: Batch[] = []
  let bytes = 0
  for (const command of commands) {
    const text = wire(command)
    const last = made.at(-1)
    bytes += Buffer.byteLength(text)
    if (last !== undefined && bytes <= MAX_COMMAND_BYTES) {
      last.lines.push(lineOf(command))
      last.text += text
    } else {
      made.push({ lines: [lineOf(command)], text })
      bytes = Buffer.byteLength(text)
    }
  }
  return made
}

/** 2.6 and 3.0 prompt for every line of a payload; 3.2 does not. */
const withoutPrompts = (text: string) => text.replace(/^(?:\+ )+/, '')

function noStatsSocket(path: string, reply: string): HostlerError {
  return new HostlerError(
    'HAPROXY_SOCKET_GARBAGE',
    `What answers at ${path} does not speak as HAProxy's stats socket ("${printable(reply, 120)}"). Is it the path of a \`stats socket\` line?`,
  )
}
