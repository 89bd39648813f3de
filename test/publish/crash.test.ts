import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { silentLogger } from '../../src/lib/logger.js'
import type { RenderedFile } from '../../src/publish/files.js'
import { createPublisher } from '../../src/publish/publisher.js'
import { compiled } from '../support/compiled.js'
import { tempDir } from '../support/temp.js'

const CHILD = fileURLToPath(new URL('publish-child.mjs', import.meta.url))
let program: string
beforeAll(() => {
  program = compiled('publish', 'lib')
})

/** Two sets over two folders; only the first has the file `extra`. */
function setsAt(base: string): [RenderedFile[], RenderedFile[]] {
  const file = (name: string, letter: string, size: number) => ({
    path: join(base, name),
    content: letter.repeat(size),
  })
  return [
    [file('root/main.cfg', 'A', 200_000), file('other/domain.map', 'A', 5000), file('root/extra', 'A', 10)],
    [file('root/main.cfg', 'B', 190_000), file('other/domain.map', 'B', 6000), file('other/deep/late', 'B', 10)],
  ]
}

function start(base: string, options: { rounds: number; dieAt?: number }) {
  const sets = setsAt(base)
  const orders = join(base, 'orders.json')
  writeFileSync(orders, JSON.stringify({ root: join(base, 'root'), sets, ...options }))
  const child = spawn(process.execPath, [CHILD, program, orders], { stdio: ['ignore', 'pipe', 'inherit'] })
  return { sets, child, closed: once(child, 'close') as Promise<[number | null, string | null]> }
}

/** After recovery: which set lies there, entirely; throws when it is neither. */
async function survivor(base: string, sets: [RenderedFile[], RenderedFile[]]): Promise<'A' | 'B'> {
  const publisher = createPublisher({ root: join(base, 'root'), log: silentLogger() })
  await publisher.recover()
  await publisher.close()
  const paths = [...new Set(sets.flat().map((file) => file.path))]
  const found = paths.filter((path) => existsSync(path)).map((path) => ({ path, content: readFileSync(path, 'utf8') }))
  const byPath = (a: RenderedFile, b: RenderedFile) => a.path.localeCompare(b.path)
  const letter = found[0]?.content.startsWith('A') ? 'A' : 'B'
  expect(found.sort(byPath)).toEqual(sets[letter === 'A' ? 0 : 1].toSorted(byPath))
  const names = readdirSync(base, { recursive: true, encoding: 'utf8' })
  expect(names.filter((name) => name.endsWith('.new') || name.endsWith('journal.json'))).toEqual([])
  return letter
}

function baseWithFolders(): string {
  const base = tempDir()
  mkdirSync(join(base, 'root'))
  mkdirSync(join(base, 'other'))
  return base
}

describe('a publisher that is killed', () => {
  test('on any file system call leaves a complete set behind', async () => {
    const base = baseWithFolders()
    const { child, closed } = start(base, { rounds: 2, dieAt: 1_000_000 })
    const output = (await child.stdout.toArray()).join('')
    await closed
    const { calls } = JSON.parse(output.trim().split('\n').at(-1) ?? '') as { calls: number }
    expect(calls).toBeGreaterThan(20)

    const points = Array.from({ length: calls }, (_, index) => index + 1)
    const survivors: string[] = []
    await inParallel(points, async (dieAt) => {
      const base = baseWithFolders()
      const { sets, closed } = start(base, { rounds: 2, dieAt })
      expect(await closed).toEqual([null, 'SIGKILL'])
      survivors[dieAt] = await survivor(base, sets)
    })
    // The old set until the journal is in place, the new one from there on.
    expect(survivors.join('')).toMatch(/^A+B+$/)
  })

  test('at any moment leaves a complete set behind', async () => {
    const moments = Array.from({ length: 50 }, (_, index) => index * 0.6)
    await inParallel(moments, async (afterMs) => {
      const base = baseWithFolders()
      const { sets, child, closed } = start(base, { rounds: 1e9 })
      await once(child.stdout, 'data')
      await delay(afterMs)
      child.kill('SIGKILL')
      expect(await closed).toEqual([null, 'SIGKILL'])
      await survivor(base, sets)
    })
  })

  test('leaves its lock to the next one', async () => {
    const base = baseWithFolders()
    const { child, closed } = start(base, { rounds: 1e9 })
    await once(child.stdout, 'data')
    const next = createPublisher({ root: join(base, 'root'), log: silentLogger() })
    await expect(next.recover()).rejects.toMatchObject({ code: 'PUBLISH_LOCKED' })
    child.kill('SIGKILL')
    await closed
    await next.recover()
    await next.close()
  })
})

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all([worker(), worker(), worker()])
}
