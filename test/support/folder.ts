/** A folder of its own for a test, removed at its end. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

export const testFolder = async (test: TestContext): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-test-'))
  test.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
