/** What other people's tools say of the package: publint, "are the types wrong", and knip about this repository. */
import { fileURLToPath } from 'node:url'
import { run } from './run.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const tool = (name: string): string => fileURLToPath(new URL(`../../node_modules/.bin/${name}`, import.meta.url))

/** Only that nothing is asked of the network: attw would otherwise look for types of the package on the registry. */
export const lint = async (tarball: string): Promise<string[]> => {
  const tools: readonly [name: string, ...args: string[]][] = [
    ['publint', '--strict', tarball],
    [
      'attw',
      tarball,
      '--profile',
      'esm-only',
      '--no-definitely-typed',
      '--format',
      'ascii',
      '--no-color',
      '--no-emoji',
    ],
    ['knip', '--no-progress'],
  ]
  for (const [name, ...args] of tools) await run(process.execPath, [tool(name), ...args], { cwd: ROOT })
  return tools.map(([name]) => name)
}
