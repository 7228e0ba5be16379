/** The newest nats-server, built from its Go module where Go is on the machine: Debian's is years older. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Raised by hand, as the versions in package.json are. */
const VERSION = '2.15.2'
const DIRECTORY = fileURLToPath(new URL(`programs/nats-server-${VERSION}`, import.meta.url))
const BUILD_LIMIT_MS = 300_000

/** Where it is once it was built. */
export const NEWEST_NATS = `${DIRECTORY}/nats-server`

/** @returns what Go said when it failed, undefined when it did not */
const build = (): Promise<string | undefined> => {
  const go = spawn('go', ['install', `github.com/nats-io/nats-server/v2@v${VERSION}`], {
    env: { ...process.env, GOBIN: DIRECTORY, GOFLAGS: '-mod=mod' },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: BUILD_LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  let said = ''
  go.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000)
  })
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  go.on('error', (error) => resolve(error.message))
  go.on('close', (code, signal) => resolve(code === 0 ? undefined : `${signal ?? `exit ${code}`}: ${lastLine(said)}`))
  return promise
}

const lastLine = (said: string): string =>
  said
    .trimEnd()
    .split('\n')
    .at(-1)
    ?.replace(/https?:\S+/g, 'the proxy') ?? ''

/** Builds it where it is missing; who cannot have it is skipped with the hint of its entry. */
export const provideNewestNats = async (say: (line: string) => void): Promise<void> => {
  if (existsSync(NEWEST_NATS)) return
  say(`building nats-server ${VERSION} (go install)`)
  const failure = await build()
  if (failure !== undefined) say(`nats-server ${VERSION} could not be built: ${failure}`)
}
