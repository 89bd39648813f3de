import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test } from '@jest/globals'
import { silentLogger } from '../../src/lib/logger.js'
import type { Proxy } from '../../src/proxies/proxy.js'
import { watchPaths } from '../../src/reconcile/watch.js'
import { tempDir } from '../support/temp.js'
import { until } from '../support/wait.js'

let stop: () => Promise<void> = async () => undefined
afterEach(() => stop())

/** Watches what `paths` says now; `seen` holds what a look at the file found each time it was told of a change. */
async function watching(paths: () => string[], look: () => string = () => '') {
  const seen: string[] = []
  const proxy = { name: 'test', watched: paths } as unknown as Proxy
  stop = await watchPaths(proxy, () => void seen.push(look()), silentLogger())
  return seen
}

test('tells of the second of two edits that follow each other closely', async () => {
  const file = join(tempDir(), 'a.cfg')
  writeFileSync(file, 'first')
  const seen = await watching(() => [file])
  writeFileSync(file, 'second')
  await until('the first edit is told', () => seen.length === 1)
  writeFileSync(file, 'third')
  await until('the second edit is told', () => seen.length === 2)
})

test('waits for the end of a file that is being written', async () => {
  const file = join(tempDir(), 'a.cfg')
  writeFileSync(file, 'old')
  const sizes: number[] = []
  let size = 3
  const seen = await watching(
    () => [file],
    () => String(sizes.push(size)),
  )
  writeFileSync(file, '')
  for (size = 1; size <= 10; size++) {
    appendFileSync(file, 'x')
    await delay(10)
  }
  await until('it is told', () => seen.length > 0)
  expect(sizes[0]).toBe(11)
})

test('tells of a file that was taken away, and of its return', async () => {
  const dir = tempDir()
  const [file, other] = [join(dir, 'a.pem'), join(dir, 'b.pem')]
  writeFileSync(file, 'x')
  writeFileSync(other, 'x')
  const seen = await watching(() => [file, other])
  rmSync(file)
  await until('its end is told', () => seen.length === 1)
  writeFileSync(file, 'x')
  await until('its return is told', () => seen.length === 2)
})

test('tells of a file and a folder that were not there at first', async () => {
  const dir = tempDir()
  const [file, folder] = [join(dir, 'server.pem'), join(dir, 'certs')]
  const seen = await watching(() => [file, folder])
  // The watch for what is missing begins a moment later, so the file comes again and again.
  let looks = 0
  await until('the file is told', () => {
    if (looks++ % 10 === 0) writeFileSync(`${file}.new`, 'x')
    if (looks % 10 === 1) renameSync(`${file}.new`, file)
    return seen.length > 0
  })
  const before = seen.length
  mkdirSync(folder)
  await until('the folder is told', () => seen.length > before)
  const then = seen.length
  writeFileSync(join(folder, 'a.pem'), 'x')
  await until('what comes into it is told', () => seen.length > then)
})

test('follows a file that another one has come to mention', async () => {
  const dir = tempDir()
  const [file, mentioned] = [join(dir, 'a.cfg'), join(dir, '503.http')]
  writeFileSync(file, 'x')
  writeFileSync(mentioned, 'x')
  let paths = [file]
  const seen = await watching(() => paths)
  paths = [file, mentioned]
  writeFileSync(file, 'y')
  await until('the edit is told', () => seen.length === 1)
  // The watch for it begins a moment later, so it is written again and again.
  let looks = 0
  await until('the mentioned file is told', () => {
    if (looks++ % 10 === 0) writeFileSync(mentioned, String(looks))
    return seen.length > 1
  })
})

test('what lies beside a watched file is not told, not even while that file is missing', async () => {
  const dir = tempDir()
  const file = join(dir, 'server.pem')
  const seen = await watching(() => [file])
  writeFileSync(join(dir, 'domain.map'), 'x')
  await delay(150)
  writeFileSync(file, 'x')
  await until('the file is told', () => seen.length > 0)
  expect(seen).toHaveLength(1)
})
