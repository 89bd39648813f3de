import { mkdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from '@jest/globals'
import { recognise } from '../../../../src/proxies/haproxy/runtime/recognise.js'
import { tempDir } from '../../../support/temp.js'

describe('what a worker of somebody else has loaded', () => {
  let dir: string
  let files: { configs: string[]; others: string[]; certificates: string[] }
  const path = (name: string) => join(dir, name)
  const write = (name: string, text: string) => writeFileSync(path(name), text)
  /** A worker that began so many milliseconds after the last change of the file. */
  const workerAfter = (name: string, ms: number) => ({ pid: 7, startedAt: statSync(path(name)).ctimeMs + ms })
  /** The file system's clock has ticked since. */
  const tick = async () => {
    write('tick', '')
    const before = statSync(path('tick')).ctimeMs
    while (statSync(path('tick')).ctimeMs < before + 30) {
      await new Promise((resolve) => setImmediate(resolve))
      write('tick', '')
    }
  }

  beforeEach(() => {
    dir = tempDir()
    write('haproxy.cfg', `backend map_str(${dir}/hosts.map) ${dir}/tls`)
    write('hosts.map', 'a b\n')
    write('unused.map', 'a b\n')
    mkdirSync(path('certs'))
    write('certs/a.pem', 'pem')
    files = {
      configs: [path('haproxy.cfg')],
      others: [path('hosts.map'), path('unused.map'), path('certs/a.pem')],
      certificates: [path('certs/a.pem')],
    }
  })

  test('is what lies on disk when it began after every change', async () => {
    const image = await recognise(workerAfter('certs/a.pem', 1000), files)
    expect([...(image ?? [])].map(([name]) => name)).toEqual(
      files.configs.concat(path('hosts.map'), path('certs/a.pem')),
    )
  })

  test('is unknown when it began before a change, or too close to it', async () => {
    for (const ms of [-1000, 0, 10]) expect(await recognise(workerAfter('certs/a.pem', ms), files)).toBeUndefined()
    await tick()
    write('hosts.map', 'a c\n')
    expect(await recognise(workerAfter('haproxy.cfg', 25), files)).toBeUndefined()
    await tick()
    renameSync(path('hosts.map'), path('moved'))
    renameSync(path('moved'), path('hosts.map'))
    expect(await recognise(workerAfter('certs/a.pem', 25), files)).toBeUndefined()
  })

  test('does not depend on a file that it did not read', async () => {
    await tick()
    write('unused.map', 'a c\n')
    expect(await recognise(workerAfter('certs/a.pem', 25), files)).toBeDefined()
  })

  test('is unknown when a link has been turned to an older file', async () => {
    mkdirSync(path('old'))
    write('old/hosts.map', 'a b\n')
    rmSync(path('hosts.map'))
    symlinkSync(path('old/hosts.map'), path('hosts.map'))
    expect(await recognise(workerAfter('hosts.map', 1000), files)).toBeDefined()
    await tick()
    rmSync(path('hosts.map'))
    symlinkSync('old/hosts.map', path('hosts.map'))
    expect(await recognise(workerAfter('old/hosts.map', 25), files)).toBeUndefined()
    expect(await recognise({ pid: 7, startedAt: Date.now() + 1000 }, files)).toBeDefined()
    rmSync(path('hosts.map'))
    symlinkSync('hosts.map', path('hosts.map'))
    expect(await recognise({ pid: 7, startedAt: Date.now() + 1000 }, files)).toBeUndefined()
  })

  test('holds every file of a folder that is read as a whole', async () => {
    mkdirSync(path('tls'))
    write('tls/b.pem', 'pem')
    const withFolder = { ...files, others: [...files.others, path('tls')] }
    expect(await recognise(workerAfter('tls/b.pem', 1000), withFolder)).toBeDefined()
    await tick()
    write('tls/b.pem', 'other')
    expect(await recognise(workerAfter('tls', 25), withFolder)).toBeUndefined()
  })

  test('is unknown when a file is gone, when another configuration lies beside ours, or HAProxy does not tell its start', async () => {
    const later = workerAfter('certs/a.pem', 1000)
    expect(await recognise({ pid: 7 }, files)).toBeUndefined()
    write('more.cfg', '')
    expect(await recognise(later, files)).toBeUndefined()
    rmSync(path('more.cfg'))
    expect(await recognise(later, files)).toBeDefined()
    rmSync(path('hosts.map'))
    expect(await recognise(later, files)).toBeUndefined()
  })
})
