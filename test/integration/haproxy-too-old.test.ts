import { chmodSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createRig, type Rig } from '../support/rig.js'

describe('a HAProxy that is too old', () => {
  let rig: Rig
  beforeAll(async () => {
    rig = await createRig()
    rig.stacks([])
    rig.write('haproxy-2.4', '#!/bin/sh\necho "HAProxy version 2.4.22-f8e3218 2023/02/14 - https://haproxy.org/"\n')
    chmodSync(rig.path('haproxy-2.4'), 0o755)
  })
  afterAll(() => rig?.close())

  test.each(['run', 'haproxy'])('ends `%s` at its start with 3 and says which is needed', async (command) => {
    const { code, stderr } = await rig.run([command], { HAPROXY_BIN: rig.path('haproxy-2.4') })
    expect(code).toBe(3)
    expect(stderr).toMatch(/is HAProxy 2\.4\.22-f8e3218; Hostler needs 2\.6 or later/)
  })
})
