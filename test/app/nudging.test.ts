import { expect, test } from '@jest/globals'
import { nudging } from '../../src/app/nudging.js'
import type { Runtime } from '../../src/runtimes/runtime.js'
import type { Source } from '../../src/sources/source.js'

const signal = new AbortController().signal
const sourceOf = (name: string, nudge?: () => void): Source => ({
  ...{ name, list: async () => [], watch: async () => undefined },
  ...(nudge && { nudge }),
})

/** A runtime that says what it does, and whose stops fail. */
function recording(done: string[]): Runtime {
  const act = (what: string) => async () => void done.push(what)
  const stop = async () => {
    done.push('stop')
    throw new Error('no')
  }
  return { source: 'a', start: act('start'), stop, remove: act('remove') } as unknown as Runtime
}

test('its source looks after each act, also one that failed', async () => {
  const done: string[] = []
  const runtime = nudging(recording(done), [
    sourceOf('b', () => done.push('wrong')),
    sourceOf('a', () => done.push('look')),
  ])
  await runtime.start('1', signal)
  await expect(runtime.stop('1', signal)).rejects.toThrow('no')
  await runtime.remove('1', { volumes: false }, signal)
  expect(done).toEqual(['start', 'look', 'stop', 'look', 'remove', 'look'])
})

test('a source that hears of everything by itself is left alone', () => {
  const runtime = recording([])
  expect(nudging(runtime, [sourceOf('a')])).toBe(runtime)
})
