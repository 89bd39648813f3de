import { describe, expect, test } from '@jest/globals'
import { translateFlags } from '../../src/cli/predecessor-flags.js'

describe('the flags of predecessor 2', () => {
  test.each<[string, string[], string[]]>([
    [
      'its example for cookies',
      [
        '-cookie-fallback-url=https://localhost/home',
        '-traefik-check-enabled=true',
        '--userspass-file=/passwd.txt',
        '-enable-mgmt-auth=true',
      ],
      [
        'direct.fallbackUrl=https://localhost/home',
        'deploy.usersFile=/passwd.txt',
        'deploy.auth=true',
        'direct.cookieRouting=true',
      ],
    ],
    [
      'path routing',
      ['-use-path-routing', '-container-prefix', 'session'],
      ['direct.pathRouting=true', 'direct.containerPrefix=session'],
    ],
    [
      'cookie routing that is off',
      ['--use-cookie-routing=false', '-cookie-key=x'],
      ['direct.cookieRouting=false', 'direct.cookieKey=x'],
    ],
    ['one without an effect', ['-redirect-timeout', '2s'], ['direct.cookieRouting=true']],
  ])('%s becomes settings', (_, flags, settings) => {
    expect(translateFlags([...flags, 'run'])).toEqual([...settings.flatMap((text) => ['--set', text]), 'run'])
  })

  test('everything else is left as it is', () => {
    const args = ['--config', 'a.yml', '--proxy=haproxy', 'status', '--json', '-h']
    expect(translateFlags(args)).toEqual(args)
  })

  test('a flag without its value is an error', () => {
    expect(() => translateFlags(['-cookie-key'])).toThrow('-cookie-key needs a value')
  })
})
