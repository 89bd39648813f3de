import { fields, postJson } from '../cli/fetch.js'
import type { Settings } from '../config/schema.js'
import { span } from '../lib/ago.js'
import { HostlerError } from '../lib/errors.js'
import { ownTokenPath, readOwnToken } from '../lifecycle/deploy/own-token.js'

/** `hostler wake NAME` and `hostler sleep NAME`: ask the running process over its private port. */
export async function wakeOrSleep(
  settings: Settings,
  { what, name }: { what: 'wake' | 'sleep'; name: string },
  print: (text: string) => void,
): Promise<void> {
  const timeoutMs = settings.wake.timeout + settings.sleep.drain + MARGIN_MS
  const path = `/api/${what}/${encodeURIComponent(name)}`
  const answer = await postJson(settings.private.listen, { path, isFit: isAnswer, timeoutMs, token: tokenOf(settings) })
  print(`${answer.group} ${answer.result}${answer.ms === undefined ? '' : ` after ${span(answer.ms)}`}\n`)
}

/** Stopping an app takes its time too. */
const MARGIN_MS = 60_000

interface Answer {
  readonly group: string
  readonly result: string
  readonly ms?: number
}

const isAnswer = (value: unknown): value is Answer => {
  const { group, result } = fields(value)
  return typeof group === 'string' && typeof result === 'string'
}

function tokenOf({ deploy, stateDir }: Settings): string {
  const token = deploy.token || readOwnToken(stateDir)
  if (token !== undefined) return token
  const where = ownTokenPath(stateDir)
  throw new HostlerError(
    'USAGE',
    `a token is needed, and ${where} cannot be read; run this as the user that runs Hostler, or set HOSTLER_TOKEN`,
  )
}
