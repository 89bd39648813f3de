import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll, expect, test } from '@jest/globals'
import { systemClock } from '../../src/lib/clock.js'
import { silentLogger } from '../../src/lib/logger.js'
import { createIdleClock } from '../../src/lifecycle/idle-clock.js'
import { parseClockFile } from '../../src/lifecycle/idle-clock-file.js'
import { compiled } from '../support/compiled.js'
import { tempDir } from '../support/temp.js'

const CHILD = fileURLToPath(new URL('idle-clock-child.mjs', import.meta.url))
const KILLS = 50
const GROUPS = 2000

let program: string
beforeAll(() => {
  program = compiled('lifecycle', 'lib')
})

/** Starts the child, kills it that long after its first save, and gives the numbers of the saves it told of. */
async function killed(dir: string, afterMs: number): Promise<number[]> {
  const child = spawn(process.execPath, [CHILD, program, dir, String(GROUPS)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  let output = ''
  const first = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk) => {
      output += chunk
      if (output.includes('\n')) resolve()
    })
  })
  await Promise.race([first, closed])
  await delay(afterMs)
  child.kill('SIGKILL')
  expect(await closed).toEqual([null, 'SIGKILL'])
  return output.split('\n').slice(0, -1).map(Number)
}

test(`of ${KILLS} processes that are killed under load, each leaves a whole file with its last save or a later one`, async () => {
  const dir = tempDir()
  let before = 0
  for (let kill = 0; kill < KILLS; kill++) {
    const told = await killed(dir, (kill * 7) % 60)
    const { groups, counts } = parseClockFile(readFileSync(join(dir, 'idle-clock.json'), 'utf8'))
    const inFile = counts.get('test')?.totals.get('save') ?? Number.NaN
    // The one that was told last, or the one that was just put in place: no more than one is ever under way.
    expect(told.at(-1)).toBeGreaterThan(before)
    expect([told.at(-1), (told.at(-1) ?? 0) + 1]).toContain(inFile)
    expect([...groups]).toHaveLength(GROUPS)
    before = inFile
  }
  const idle = createIdleClock({ dir, clock: systemClock, log: silentLogger() })
  await idle.load()
  expect(idle.idleMs('g0')).toEqual(expect.any(Number))
})
