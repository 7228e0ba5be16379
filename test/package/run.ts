/** Programs as a person runs them in a folder: with a chosen Node first on the PATH, and nothing of this checkout in it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { delimiter, dirname, sep } from 'node:path'

const LIMIT_MS = 120_000

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** Both, in the order in which they came. */
  readonly said: string
}

export interface RunOptions {
  readonly cwd: string
  /** The binary of the Node that commands find first; this process's own unless told. */
  readonly node?: string
  readonly env?: Record<string, string>
}

/** What `npm run` has put there would have npm and npx work on this checkout instead of the folder they are called in. */
const OF_NPM_RUN =
  /^(npm_(package|lifecycle|command|execpath|node_execpath)|npm_config_(local_|global_)?prefix|INIT_CWD|NODE_)/

const environment = ({ node = process.execPath, env = {} }: RunOptions): NodeJS.ProcessEnv => {
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.split(sep).includes('node_modules'))
  const rest = Object.entries(process.env).filter(([name]) => !OF_NPM_RUN.test(name) && !name.startsWith('PARLEY_'))
  return { ...Object.fromEntries(rest), ...env, PATH: [dirname(node), ...path].join(delimiter) }
}

export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  stdout(): string
}

/** Starts a program; killed, with all that it started, when it takes longer than two minutes. */
export const start = (command: string, args: readonly string[], options: RunOptions): Started => {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: environment(options),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let stdout = ''
  let stderr = ''
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    said += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    said += text
  })
  const limit = setTimeout(() => end(child, 'SIGKILL'), LIMIT_MS)
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(limit)
      resolve({ code, stdout, stderr, said })
    })
  })
  return { child, ended, stdout: () => stdout }
}

/** npx and npm run what they were asked for as a child of theirs: the signal goes to the whole group. */
export const end = ({ pid }: ChildProcess, signal: NodeJS.Signals): void => {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** @throws with all that it said, where it did not exit with 0 */
export const run = async (command: string, args: readonly string[], options: RunOptions): Promise<Ended> => {
  const ended = await start(command, args, options).ended
  if (ended.code !== 0)
    throw new Error(`${[command, ...args].join(' ')} ended with ${ended.code} and said:\n${ended.said}`)
  return ended
}
