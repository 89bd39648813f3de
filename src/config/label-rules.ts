import type { LabelRules } from '../model/wishes.js'
import type { Settings } from './schema.js'

export interface LabelRulesContext {
  /** Names of the sources whose containers can be started. */
  readonly wakes: readonly string[]
  /** Somebody serves the public port. */
  readonly holds: boolean
}

/** The settings by which labels are read and plans are made. */
export function labelRulesOf(settings: Settings, { wakes, holds }: LabelRulesContext): LabelRules {
  const { domain, hostTemplate, labelPrefix, portLabel, proxyLabel, direct, wake, sleep } = settings
  const listens = settings.public.listen !== undefined
  return {
    ...{ domain, hostTemplate, labelPrefix, portLabel, proxyLabel },
    direct: { ...direct, patienceMs: Math.min(direct.checkInterval * direct.checkRetries, LONGEST_MS) },
    sleep: {
      holds: holds && listens,
      // Nobody could wake what has been put to sleep.
      sources: holds && listens ? wakes : [],
      wake: wake.enabled,
      idleMs: sleep.after,
      onIdle: sleep.action,
    },
  }
}

/** Timers cannot wait longer. */
const LONGEST_MS = 24 * 86_400_000
