import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from '@jest/globals'
import { withDeadline } from '../../src/lib/signals.js'

const SRC = fileURLToPath(new URL('../../src', import.meta.url))

describe('a deadline', () => {
  test('comes even when the garbage collector came first', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const work = withDeadline(
      { timeoutMs: 50, what: 'waiting' },
      new AbortController().signal,
      () => new Promise(() => {}),
    )
    collect()
    await expect(work).rejects.toThrow('waiting took longer than 0.05 s')
  })

  test('is never made by AbortSignal.any with AbortSignal.timeout, which Node.js 20 may forget', () => {
    const files = readdirSync(SRC, { recursive: true })
      .map(String)
      .filter((name) => name.endsWith('.ts'))
    const guilty = files.filter((name) =>
      /AbortSignal\.any\([^)]*AbortSignal\.timeout/s.test(readFileSync(join(SRC, name), 'utf8')),
    )
    expect(guilty).toEqual([])
  })
})
