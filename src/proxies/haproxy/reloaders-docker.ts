import type { Container, ContainerInspectInfo, default as Dockerode } from 'dockerode'
import type { Clock } from '../../lib/clock.js'
import { codeOf, HostlerError, messageOf } from '../../lib/errors.js'
import type { Reloader } from './reloaders.js'
import { demultiplex } from './reloaders-docker-logs.js'

export interface ContainerReloaderOptions {
  readonly docker: Dockerode
  /** Name or id. */
  readonly container: string
  /** `SIGUSR2` for HAProxy's master; `SIGHUP` for images whose entry point wants that. */
  readonly signal: string
  /** How long to look for HAProxy's own verdict in its log. A port that cannot be bound takes 2 s to fail. */
  readonly settleMs?: number
  readonly clock: Clock
}

/**
 * Reloads a HAProxy in a container by a signal, and looks whether it went well: the container must go on running as the
 * same process, and its log since the signal must not tell of a failure.
 *
 * Limits: a HAProxy that logs nothing (`quiet`, a log driver that Docker cannot read) gives no verdict. Each reload then
 * takes `settleMs`, and counts as done when a process has come into the container that was not there before. (As process
 * 1 and without `-W` HAProxy does not even notice the signal.) Of workers only the container's own numbers are known, so
 * none is reported.
 */
export function createContainerReloader(options: ContainerReloaderOptions): Reloader {
  const { docker, container: name, signal: signalName, settleMs = 4000, clock } = options
  const container = docker.getContainer(name)

  return {
    async reload(signal) {
      const started = clock.elapsed()
      const before = await inspect(container, name, signal)
      if (!before.State.Running) throw notRunning(name)
      const tty = before.Config.Tty
      const pids = await processesOf(container, signal)
      const last = (await logLines(container, { tty, tail: 1 }, signal)).at(-1)?.stamp
      await asked(name, `sending ${signalName} to`, signal, container.kill({ signal: signalName, abortSignal: signal }))
      for (let delayMs = 20; ; delayMs = Math.min(delayMs * 1.5, 250)) {
        const changed = whatHappened(before, await inspect(container, name, signal))
        const lines = await logLines(container, { tty, tail: TAIL, ...(last !== undefined && { after: last }) }, signal)
        const log = lines.map(({ text }) => text).join('\n')
        const ms = Math.round(clock.elapsed() - started)
        if (changed !== undefined) return { ok: false, ms, log: `${changed}\n${log}`.trim() }
        const verdict = verdictOf(log)
        if (verdict !== undefined) return { ok: verdict, ms, log }
        if (ms > settleMs) return { ...silentVerdict(pids, await processesOf(container, signal), log), ms }
        await clock.sleep(delayMs, signal)
      }
    },
    describe: () => ({ reloads: 'container', container: name, signal: signalName }),
  }
}

const TAIL = 500

/** HAProxy said neither that it loaded nor that it failed: so has a new process come? */
function silentVerdict(before: Pids, after: Pids, said: string): { ok: boolean; log: string } {
  const verdict = (ok: boolean, words: string) => ({ ok, log: `${said}\n${words}`.trim() })
  if (before === undefined || after === undefined) return verdict(true, 'this reload could not be verified')
  const renewed = [...after].some((pid) => !before.has(pid))
  return renewed
    ? verdict(true, 'a new process was taken as proof of the reload, since HAProxy logged nothing')
    : verdict(false, 'no new process came after the signal: is HAProxy started with -W in it?')
}

type Pids = ReadonlySet<string> | undefined

/** Undefined where Docker cannot tell. */
async function processesOf(container: Container, signal: AbortSignal): Promise<Pids> {
  try {
    const { Titles, Processes } = await container.top({ abortSignal: signal })
    const column = Titles.indexOf('PID')
    return column < 0 ? undefined : new Set(Processes.map((row: readonly string[]) => row[column] ?? ''))
  } catch {
    signal.throwIfAborted()
    return undefined
  }
}

/** Sentences that end a reload, from 2.6 to 3.2. */
function verdictOf(log: string): boolean | undefined {
  if (/Loading failure|Failed to load worker/.test(log)) return false
  return /Loading success/.test(log) ? true : undefined
}

function whatHappened(before: ContainerInspectInfo, now: ContainerInspectInfo): string | undefined {
  if (!now.State.Running) {
    return `the container stopped with exit code ${now.State.ExitCode}: is HAProxy started with -W in it?`
  }
  if (now.State.Pid !== before.State.Pid || now.State.StartedAt !== before.State.StartedAt) {
    return 'the container was restarted instead: is HAProxy started with -W in it?'
  }
  return undefined
}

const inspect = (container: Container, name: string, signal: AbortSignal) =>
  asked(name, 'inspecting', signal, container.inspect({ abortSignal: signal }))

interface LogLine {
  /** RFC 3339 with nine digits of the second, as Docker writes it: sorts as text. */
  readonly stamp: string
  readonly text: string
}

interface LogQuery {
  readonly tty: boolean
  readonly tail: number
  /** Only lines later than this one. */
  readonly after?: string
}

async function logLines(container: Container, query: LogQuery, signal: AbortSignal): Promise<LogLine[]> {
  const { tty, tail, after } = query
  try {
    const since = after === undefined ? 0 : Math.floor(Date.parse(after) / 1000)
    const reply = await container.logs({
      stdout: true,
      stderr: true,
      timestamps: true,
      tail,
      since,
      abortSignal: signal,
    })
    return (tty ? reply.toString('utf8') : demultiplex(reply))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => ({ stamp: line.split(' ', 1)[0] ?? '', text: line.slice(line.indexOf(' ') + 1) }))
      .filter(({ stamp }) => after === undefined || stamp > after)
  } catch {
    // A log driver that cannot be read: there is no verdict then, as said above.
    signal.throwIfAborted()
    return []
  }
}

async function asked<T>(name: string, what: string, signal: AbortSignal, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    signal.throwIfAborted()
    const missing = (error as { statusCode?: number }).statusCode === 404
    const remedy = missing
      ? 'There is no such container: set HAPROXY_CONTAINER to its name.'
      : `Docker answered: ${messageOf(error)}${codeOf(error) === 'EACCES' ? '; Hostler may not use its socket' : ''}.`
    throw new HostlerError('HAPROXY_CONTAINER', `${what} the HAProxy container ${name} failed. ${remedy}`, {
      cause: error,
    })
  }
}

const notRunning = (name: string) =>
  new HostlerError('HAPROXY_CONTAINER', `The HAProxy container ${name} does not run, so it cannot reload. Start it.`)
