/** `parley store verify` and `parley store repair`, as a person runs them. Keeps no state. */
import { execFile } from 'node:child_process'
import { programOf } from '../../support/program.ts'

const PROGRAM = programOf('node/cli/bin.js')
const LIMIT_MS = 60_000

export interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

export const parley = (args: readonly string[]): Promise<Said> =>
  new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, ...args], { timeout: LIMIT_MS }, (error, out, err) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1
      resolve({ code, out, err })
    })
  })

export const repairMessages = async (dataDir: string): Promise<Said> => {
  const said = await parley(['store', 'repair', '--data-dir', dataDir])
  if (said.code !== 0) throw new Error(`parley store repair ended with ${said.code}: ${said.out} ${said.err}`)
  return said
}
