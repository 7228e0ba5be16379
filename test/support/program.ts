/** Programs that tests start: as test/run.ts has put them together, or as they are where a test file is run by itself. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** @param file from the root of the tree */
export const programOf = (file: string): string => {
  const built = process.env.TEST_PROGRAMS
  return built === undefined ? join(ROOT, file) : join(built, file).replace(/\.ts$/, '.js')
}
