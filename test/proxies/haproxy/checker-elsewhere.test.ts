import { describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { HostlerError } from '../../../src/lib/errors.js'
import { createChecker } from '../../../src/proxies/haproxy/checker.js'
import { createOptionalChecker } from '../../../src/proxies/haproxy/checker-elsewhere.js'
import { tempDir } from '../../support/temp.js'

const log = pino({ level: 'silent' })
const signal = new AbortController().signal

describe('the check for a HAProxy that runs elsewhere', () => {
  test('lets everything through where there is no HAProxy program', async () => {
    const checker = createChecker({ bin: '/nonexistent/haproxy', timeoutMs: 1000, env: {} })
    const optional = createOptionalChecker(checker, log)

    expect(await optional.check([], tempDir(), signal)).toEqual({ ok: true, warnings: [] })
    expect(await optional.check([], tempDir(), signal)).toEqual({ ok: true, warnings: [] })
  })

  test('passes on what the program says, and every other failure', async () => {
    const refusal = { ok: false, message: 'no', culprits: ['shop'], output: '' } as const
    const slow = new HostlerError('HAPROXY_CHECK_TIMEOUT', 'too slow')

    expect(await createOptionalChecker({ check: async () => refusal }, log).check([], '', signal)).toBe(refusal)
    await expect(createOptionalChecker({ check: () => Promise.reject(slow) }, log).check([], '', signal)).rejects.toBe(
      slow,
    )
  })
})
