import { HostlerError } from '../../lib/errors.js'
import type { Logger } from '../../lib/logger.js'
import type { Checker } from './checker.js'

/**
 * For a HAProxy that runs elsewhere: Hostler's own container need not have the program. Without it every set of files is
 * let through, and the reload is the judge: what HAProxy refuses then is taken back from disk.
 */
export function createOptionalChecker(checker: Checker, log: Logger): Checker {
  let absent = false
  return {
    async check(files, scratch, signal) {
      if (absent) return { ok: true, warnings: [] }
      try {
        return await checker.check(files, scratch, signal)
      } catch (error) {
        if (!(error instanceof HostlerError) || error.code !== 'HAPROXY_MISSING') throw error
        absent = true
        log.info('there is no HAProxy program here, so only the reload tells whether HAProxy takes the files')
        return { ok: true, warnings: [] }
      }
    },
  }
}
