/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' } },
    ],
  },
  // Most suites wait for servers most of the time; each can run beside any other.
  maxWorkers: 3,
  testSequencer: '<rootDir>/scripts/longest-first.mjs',
  // For what never ends. What ends later on a busy machine is no failure.
  testTimeout: 120_000,
}
