import { expect, test } from '@jest/globals'
import { loadConfig } from '../../src/config/load.js'
import { preflight } from '../../src/config/preflight.js'
import { SOURCE_NAMES } from '../../src/sources/names.js'

test('whoever sets no source is told every one that there is', () => {
  const flags = new Map([
    ['sources', ''],
    ['domain', 'ci.test'],
  ])
  const { settings } = loadConfig({ env: {}, flags })
  expect(() => preflight(settings, { plans: true, supervises: false })).toThrow(
    `sources is empty; set HOSTLER_SOURCES to one or several of ${SOURCE_NAMES.join(', ')}`,
  )
})
