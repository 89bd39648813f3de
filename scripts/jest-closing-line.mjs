// A jest reporter for the last line of the output: how many tests passed and failed, in a form that any script can read.
export default class ClosingLine {
  onRunComplete(_, { numPassedTests, numFailedTests, numRuntimeErrorTestSuites, numPendingTests }) {
    const skipped = numPendingTests > 0 ? `, ${numPendingTests} skipped` : ''
    // After jest's own summary, which goes to standard error at the end of this run.
    process.once('exit', () => {
      process.stdout.write(`${numPassedTests} passed, ${numFailedTests + numRuntimeErrorTestSuites} failed${skipped}\n`)
    })
  }
}
