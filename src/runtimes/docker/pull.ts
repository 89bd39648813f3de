import { fields, string } from '../../lib/docker/fields.js'
import { readLines } from '../../lib/docker/lines.js'
import { printable } from '../../lib/printable.js'
import { type PullStep, RuntimeError } from '../runtime.js'
import type { Engine, EngineRequest } from './engine.js'
import type { Timeouts } from './timeouts.js'

const MAX_LINE_LENGTH = 64 << 10

/** A pull is as long as an image is large, so it may take its time as long as something happens. */
export async function pullImage(
  { engine, timeouts }: { engine: Engine; timeouts: Timeouts },
  image: string,
  progress: (step: PullStep) => void,
  signal: AbortSignal,
): Promise<void> {
  const request: EngineRequest = {
    what: `pulling image ${JSON.stringify(printable(image, 200))}`,
    ...{ method: 'POST', path: '/images/create', timeoutMs: timeouts.pullQuietMs },
    query: { fromImage: withTag(image) },
  }
  const watchdog = createWatchdog(request.what, timeouts, signal)
  try {
    const answer = await engine.stream(request, watchdog.signal)
    if ('complaint' in answer) throw engine.refusal(request, answer, codeFor(answer.complaint, answer.status))
    let lines = 0
    for await (const line of readLines(answer as AsyncIterable<Buffer>, MAX_LINE_LENGTH)) {
      watchdog.feed()
      lines++
      if (line !== undefined) tell(line, request.what, progress)
    }
    if (lines === 0) throw new RuntimeError('unreachable', `${request.what}: what answers there is no container engine`)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof RuntimeError) throw error
    const why = watchdog.signal.aborted ? watchdog.signal.reason : error
    throw new RuntimeError('unreachable', `${request.what} was cut off`, { cause: why })
  } finally {
    watchdog.end()
  }
}

/** Without a tag an engine pulls every tag that there is. */
function withTag(image: string): string {
  const [last = ''] = image.split('/').slice(-1)
  return last.includes(':') || last.includes('@') ? image : `${image}:latest`
}

function tell(line: string, what: string, progress: (step: PullStep) => void): void {
  const step = fields(JSON.parse(line))
  const complaint = string(fields(step['errorDetail'])['message']) || string(step['error'])
  if (complaint !== '') throw new RuntimeError(codeFor(complaint), `${what} failed: ${printable(complaint, 300)}`)
  const { current, total } = fields(step['progressDetail']) as { current?: unknown; total?: unknown }
  progress({
    id: printable(string(step['id']), 100),
    status: printable(string(step['status']), 200),
    ...(typeof current === 'number' && { currentBytes: current }),
    ...(typeof total === 'number' && { totalBytes: total }),
  })
}

/** Registries say in many words that an image is not there, or not for us, which they do not tell apart. */
const ABSENT = /not found|unknown|does not exist|access denied|denied: |unauthorized|no such image/i

const codeFor = (complaint: string, status = 0) =>
  status === 404 || ABSENT.test(complaint) ? 'no-such-image' : 'refused'

/** A signal that fires with the caller's, after too long a silence, or after too long altogether. */
function createWatchdog(what: string, { pullQuietMs, pullMs }: Timeouts, signal: AbortSignal) {
  const controller = new AbortController()
  const bark = (ms: number) => () =>
    controller.abort(new RuntimeError('unreachable', `${what}: nothing came of it within ${ms / 1000} s`))
  const quiet = setTimeout(bark(pullQuietMs), pullQuietMs)
  const whole = setTimeout(bark(pullMs), pullMs)
  const pass = () => controller.abort(signal.reason)
  signal.addEventListener('abort', pass)
  if (signal.aborted) pass()
  return {
    signal: controller.signal,
    feed: () => void quiet.refresh(),
    end() {
      clearTimeout(quiet)
      clearTimeout(whole)
      signal.removeEventListener('abort', pass)
      controller.abort()
    },
  }
}
