/** The peers' clients: a package of their own under test/bench, installed when a suite needs them and they are missing. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { runInstallTool, withoutAddresses } from './install-tool.ts'

const DIRECTORY = fileURLToPath(new URL('.', import.meta.url))
const INSTALL_LIMIT_MS = 120_000

const packageSchema = z.object({ version: z.string(), dependencies: z.record(z.string(), z.string()).default({}) })

const readPackage = (directory: string) =>
  packageSchema.parse(JSON.parse(readFileSync(`${directory}/package.json`, 'utf8')))

/** Version of an installed package, or undefined; the bench's own packages come before the product's. */
export const installedVersion = (name: string): string | undefined => {
  const directory = [DIRECTORY, `${DIRECTORY}../../`]
    .map((root) => `${root}node_modules/${name}`)
    .find((one) => existsSync(`${one}/package.json`))
  return directory === undefined ? undefined : readPackage(directory).version
}

/** Dependencies are pinned to exact versions, so equality is the whole question. */
const installed = (): boolean =>
  Object.entries(readPackage(DIRECTORY).dependencies).every(([name, version]) => installedVersion(name) === version)

/** npm warns about many things before it says what failed. */
const lastError = (said: string): string =>
  said
    .split('\n')
    .filter((line) => line.startsWith('npm error') && !line.includes('log of this run'))
    .map(withoutAddresses)
    .slice(0, 2)
    .join('; ')

const install = (): Promise<string | undefined> =>
  runInstallTool({
    command: 'npm',
    args: ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', DIRECTORY],
    cwd: DIRECTORY,
    limitMs: INSTALL_LIMIT_MS,
    why: lastError,
  })

/** @returns why the peers cannot be measured, undefined when they are there */
export const installPeers = async (say: (line: string) => void): Promise<string | undefined> => {
  if (installed()) return undefined
  say('installing the clients of the peers (npm ci in test/bench)')
  const failure = await install()
  if (failure === undefined && installed()) return undefined
  return `the clients of the peers could not be installed (${failure ?? 'their versions are not the pinned ones'}); run npm ci --prefix test/bench`
}
