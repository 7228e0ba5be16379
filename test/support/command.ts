/** The real command `parley` as a child process, in a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { until } from './until.ts'

const BIN = fileURLToPath(new URL('../../node/cli/bin.js', import.meta.url))
const LIMIT_MS = 60_000

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

export interface Running {
  readonly child: ChildProcess
  stdout(): string
  stderr(): string
  readonly ended: Promise<Ended>
}

export interface CommandOptions {
  cwd: string
  input?: string
  env?: Record<string, string>
  /** For Node itself. */
  nodeOptions?: readonly string[]
}

/** The environment of the tests, without what would name a secret. */
const environment = (more: Record<string, string> = {}): NodeJS.ProcessEnv => {
  const { PARLEY_SECRET: _, PARLEY_SECRET_FILE: __, NODE_OPTIONS: ___, ...rest } = process.env
  return { ...rest, ...more }
}

/** Starts `parley ARGS`; killed when it takes longer than a minute. */
export const startCommand = (args: readonly string[], options: CommandOptions): Running => {
  const child = spawn(process.execPath, [...(options.nodeOptions ?? []), BIN, ...args], {
    cwd: options.cwd,
    env: environment(options.env),
    stdio: 'pipe',
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(limit)
      resolve({ code, stdout, stderr })
    })
  })
  return { child, ended, stdout: () => stdout, stderr: () => stderr }
}

export const runCommand = (args: readonly string[], options: CommandOptions): Promise<Ended> =>
  startCommand(args, options).ended

/** Resolves once the command has printed its first line on stdout; fails with what it said where it ended instead. */
export const firstLine = async (running: Running): Promise<string> => {
  let over: Ended | undefined
  void running.ended.then((ended) => {
    over = ended
  })
  await until('its first line', () => {
    if (over !== undefined) throw new Error(`it ended with ${over.code}: ${over.stderr}`)
    return running.stdout().includes('\n')
  })
  return running.stdout().split('\n', 1)[0] ?? ''
}
