import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { parseLine } from '../../../src/proxies/haproxy/supervisor-output.js'
import { haproxyVersion, parseVersion } from '../../../src/proxies/haproxy/supervisor-version.js'
import { describeWith } from '../../support/servers.js'
import { tempDir } from '../../support/temp.js'

function program(says: string): string {
  const bin = join(tempDir(), 'haproxy')
  writeFileSync(bin, `#!/bin/sh\necho '${says}'\n`, { mode: 0o755 })
  return bin
}

describe('version of HAProxy', () => {
  test('is read from what it prints', () => {
    expect(parseVersion('HAProxy version 3.2.26-1 2026/10/14 - https://haproxy.org/')).toEqual({
      text: '3.2.26-1',
      major: 3,
      minor: 2,
    })
    expect(parseVersion('HA-Proxy version 1.8.19-1+deb10u5 2023/02/13')).toMatchObject({ major: 1, minor: 8 })
  })

  test('below 2.6 is refused', async () => {
    await expect(haproxyVersion(program('HAProxy version 2.4.22 2023/02/14'))).rejects.toMatchObject({
      code: 'HAPROXY_TOO_OLD',
      message: expect.stringContaining('2.4.22'),
    })
  })

  test('3.0 is not older than 2.6', async () => {
    expect(await haproxyVersion(program('HAProxy version 3.0.1 2024/06/10'))).toMatchObject({ major: 3, minor: 0 })
  })

  test('a program that is something else is refused', async () => {
    await expect(haproxyVersion(program('hello'))).rejects.toMatchObject({ code: 'HAPROXY_MISSING' })
  })
})

describeWith(['haproxy'], 'version of the real one', () => {
  test('is one that we support', async () => {
    expect((await haproxyVersion('haproxy')).major).toBeGreaterThanOrEqual(2)
  })
})

describe('lines of HAProxy', () => {
  test('alerts are errors, warnings warnings, what every reload says is detail', () => {
    expect(parseLine('[ALERT]    (12) : config : broken')).toEqual({ level: 'error', pid: 12, text: 'config : broken' })
    expect(parseLine('[WARNING]  (12) : Server a/b is DOWN')).toMatchObject({ level: 'warn' })
    expect(parseLine('[WARNING]  (12) : Proxy a stopped (cumulated conns: FE: 0, BE: 0).')).toMatchObject({
      level: 'debug',
    })
    // That is us: a server is taken out before its container is stopped.
    const taken = '[WARNING]  (12) : Server a/b is going DOWN for maintenance. 0 active and 0 backup servers left.'
    expect(parseLine(taken)).toMatchObject({ level: 'debug' })
    expect(parseLine("[ALERT]    (12) : backend 'a' has no server available!")).toMatchObject({ level: 'info' })
    expect(parseLine('[NOTICE]   (12) : New worker (13) forked')).toMatchObject({ level: 'debug' })
    expect(parseLine('10.0.0.1:5000 GET /')).toEqual({ level: 'info', text: '10.0.0.1:5000 GET /' })
  })
})
