/** A command of `parley` run in the test's own process, with what it prints caught. */
import type { TestContext } from 'node:test'
import { isParleyError, type ParleyError } from '../../protocols/errors.ts'

export interface Said {
  readonly out: string
  readonly err: string
  readonly error: ParleyError | undefined
}

/** @throws what the command throws that is no error of Parley's */
export const run = async (t: TestContext, command: () => Promise<void>): Promise<Said> => {
  const said = { out: '', err: '' }
  const out = t.mock.method(process.stdout, 'write', (text: string) => {
    said.out += text
    return true
  })
  const err = t.mock.method(process.stderr, 'write', (text: string) => {
    said.err += text
    return true
  })
  let error: unknown
  try {
    await command()
  } catch (caught) {
    error = caught
  } finally {
    out.mock.restore()
    err.mock.restore()
  }
  if (error !== undefined && !isParleyError(error)) throw error
  return { ...said, error }
}
