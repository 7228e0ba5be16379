/** The newest nats-server, built from its Go module where Go is on the machine: Debian's is years older. */
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { runInstallTool, withoutAddresses } from './install-tool.ts'

/** Raised by hand, as the versions in package.json are. */
const VERSION = '2.15.2'
const DIRECTORY = fileURLToPath(new URL(`programs/nats-server-${VERSION}`, import.meta.url))
const BUILD_LIMIT_MS = 300_000

/** Where it is once it was built. */
export const NEWEST_NATS = `${DIRECTORY}/nats-server`

const build = (): Promise<string | undefined> =>
  runInstallTool({
    command: 'go',
    args: ['install', `github.com/nats-io/nats-server/v2@v${VERSION}`],
    cwd: tmpdir(),
    env: { ...process.env, GOBIN: DIRECTORY, GOFLAGS: '-mod=mod' },
    limitMs: BUILD_LIMIT_MS,
    why: (said) => withoutAddresses(said.trimEnd().split('\n').at(-1) ?? ''),
  })

/** Builds it where it is missing; who cannot have it is skipped with the hint of its entry. */
export const provideNewestNats = async (say: (line: string) => void): Promise<void> => {
  if (existsSync(NEWEST_NATS)) return
  say(`building nats-server ${VERSION} (go install)`)
  const failure = await build()
  if (failure !== undefined) say(`nats-server ${VERSION} could not be built: ${failure}`)
}
