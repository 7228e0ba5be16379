/** The real command `parley` as a child process, in a folder of its own. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programOf } from './program.ts'
import { until } from './until.ts'

const BIN = programOf('node/cli/bin.js')
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
  /** Milliseconds after which it is killed; a minute unless told. */
  limitMs?: number
  /** Command that runs it somewhere else, or with other limits. */
  enter?: readonly string[]
}

/** Compiled modules, as of processes.ts: each command starts in half the time. */
const COMPILED = join(tmpdir(), 'parley-test-compile-cache')

/** The environment of the tests, without what would name a secret. */
const environment = (more: Record<string, string> = {}): NodeJS.ProcessEnv => {
  const { PARLEY_SECRET: _, PARLEY_SECRET_FILE: __, NODE_OPTIONS: ___, ...rest } = process.env
  return { ...rest, NODE_COMPILE_CACHE: COMPILED, ...more }
}

/** Starts `parley ARGS`; killed when it takes longer than it may. */
export const startCommand = (args: readonly string[], options: CommandOptions): Running => {
  const [program = '', ...rest] = [...(options.enter ?? []), process.execPath, ...(options.nodeOptions ?? []), BIN]
  const child = spawn(program, [...rest, ...args], {
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
  const limit = setTimeout(() => child.kill('SIGKILL'), options.limitMs ?? LIMIT_MS)
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

/** As with --json: one line on stderr. */
const errorInJson = (stderr: string): string[] | undefined => {
  const line = /^\{"error":.+\}$/m.exec(stderr)?.[0]
  if (line === undefined) return undefined
  const { code, message, hint } = (JSON.parse(line) as { error: { code: string; message: string; hint: string } }).error
  return [line, code, message, hint]
}

/** Every error says what failed, and what to do: in two lines, or as JSON. */
export const assertError = (ended: Ended, code: number, kind: string, message: RegExp, hint = /./): void => {
  const shown = `${ended.code} ${ended.stdout}${ended.stderr}`
  const found =
    errorInJson(ended.stderr) ?? /^error ([A-Z]{3}\d{3}): (.+)\nhint: (.+)\n/m.exec(ended.stderr) ?? undefined
  assert.ok(found !== undefined, shown)
  assert.equal(found[1], kind, shown)
  assert.match(found[2] ?? '', message)
  assert.match(found[3] ?? '', hint)
  assert.equal(ended.code, code, shown)
}

/** What a command with --json printed. */
export const jsonLines = (text: string): unknown[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

export interface CommandFolder {
  readonly path: string
  parley(args: readonly string[], options?: Partial<CommandOptions>): Promise<Ended>
  start(args: readonly string[], options?: Partial<CommandOptions>): Running
  kill(running: Running): Promise<void>
  /** Kills what was started, and removes the folder. */
  end(): Promise<void>
}

/** A folder in which commands are run and nodes are started. */
export const commandFolder = async (): Promise<CommandFolder> => {
  const path = await mkdtemp(join(tmpdir(), 'parley-commands-'))
  const started: Running[] = []
  const kill = async ({ child, ended }: Running): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  return {
    path,
    parley: (args, options = {}) => runCommand(args, { cwd: path, ...options }),
    start(args, options = {}) {
      const running = startCommand(args, { cwd: path, ...options })
      started.push(running)
      return running
    },
    kill,
    async end() {
      await Promise.all(started.map(kill))
      await rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
    },
  }
}
