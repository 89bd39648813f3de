/** One job at a time, in the order of asking. A job that fails does not hinder the next. */
export function createTurns() {
  let last: Promise<unknown> = Promise.resolve()
  return {
    take<T>(job: () => Promise<T>): Promise<T> {
      const turn = last.then(job, job)
      last = turn.catch(() => undefined)
      return turn
    },
  }
}
