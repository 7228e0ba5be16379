/**
 * A program that answers one request: its input as JSON on stdin, its output from stdout. It runs without a shell, in a
 * process group of its own.
 *
 * State: one process for each run. Guarantees: at most `maxOutputBytes` of its output and the last STDERR_BYTES of its
 * complaints are kept; after a run nothing of its process group is left: SIGTERM, and SIGKILL KILL_MS later. On Windows
 * (untested) only the program itself is ended.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { onAbort } from '../../../../protocols/async.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { readInputLines } from '../../input/stdin.ts'

export const STDERR_BYTES = 4_096
const KILL_MS = 2_000

export interface SkillProgram {
  readonly file: string
  readonly args: readonly string[]
  readonly timeoutMs: number
  readonly maxOutputBytes: number
  /** Process groups that are at work, for whoever has to end them at once. */
  readonly groups: Set<number>
}

export interface SkillRunOptions {
  /** Ends the program. */
  readonly signal: AbortSignal
  readonly env: Record<string, string>
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>

/** What of this process's environment a program sees: all but secrets of the mesh. */
const environment = (more: Record<string, string>): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^PARLEY_.*SECRET/i.test(name))),
  ...more,
})

const failed = (message: string, hint: string, details: Record<string, unknown>): ParleyError =>
  new ParleyError('APP001', message, { hint, details })

export const killProcessGroup = (pid: number | undefined, signal: NodeJS.Signals): void => {
  if (pid === undefined) return
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal)
  } catch {
    // Nothing of it is left.
  }
}

/** A run and how it ended. */
const start = ({ file, args, timeoutMs, groups }: SkillProgram, input: unknown, { signal, env }: SkillRunOptions) => {
  const child: Child = spawn(file, args, {
    detached: process.platform !== 'win32',
    env: environment(env),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  if (child.pid !== undefined) groups.add(child.pid)
  let stderr = Buffer.alloc(0)
  /** Why this side ended it. */
  let reason: unknown
  let killTimer: NodeJS.Timeout | undefined
  const end = (why: unknown): void => {
    reason ??= why
    if (killTimer !== undefined) return
    killProcessGroup(child.pid, 'SIGTERM')
    killTimer = setTimeout(() => killProcessGroup(child.pid, 'SIGKILL'), KILL_MS)
  }
  const tooLong = (): ParleyError =>
    new ParleyError('COM001', `${file} took longer than ${timeoutMs} ms`, {
      hint: 'give it less to do, or serve it with more --timeout',
      details: { stderr: complaints() },
    })
  const limit = setTimeout(() => end(tooLong()), timeoutMs)
  const stopFollowing = onAbort(signal, () => end(signal.reason))
  const complaints = (): string => stderr.toString('utf8').trim()

  child.stderr.on('data', (chunk: Buffer) => {
    stderr = Buffer.concat([stderr, chunk]).subarray(-STDERR_BYTES)
  })
  // A program need not read its input.
  child.stdin.on('error', () => {})
  child.stdin.end(`${JSON.stringify(input ?? null)}\n`)

  /** @throws why it did not end well */
  const over = new Promise<void>((resolve, reject) => {
    child.once('error', (cause) => {
      const hint = 'see whether it is there and may be run on the machine that serves it'
      reject(failed(`${file} cannot be run: ${cause.message}`, hint, { program: file }))
    })
    // What it left behind in its group would keep its output open.
    child.once('exit', () => {
      if (killTimer === undefined) killProcessGroup(child.pid, 'SIGTERM')
      killTimer ??= setTimeout(() => killProcessGroup(child.pid, 'SIGKILL'), KILL_MS)
    })
    child.once('close', (exitCode, killedBy) => {
      if (reason !== undefined) return reject(reason)
      if (exitCode === 0) return resolve()
      const how = exitCode === null ? `was ended by ${killedBy}` : `ended with exit code ${exitCode}`
      const said = complaints()
      const last = said.split('\n').at(-1)?.slice(0, 200) ?? ''
      reject(
        failed(`${file} ${how}${last === '' ? '' : `: ${last}`}`, 'details.stderr has the last that it said', {
          program: file,
          ...(exitCode === null ? { signal: killedBy } : { exitCode }),
          stderr: said,
        }),
      )
    })
  }).finally(() => {
    clearTimeout(limit)
    clearTimeout(killTimer)
    stopFollowing()
    killProcessGroup(child.pid, 'SIGKILL')
    if (child.pid !== undefined) groups.delete(child.pid)
  })
  over.catch(() => {})
  return { child, over, end }
}

const tooMuch = (file: string, maxOutputBytes: number): ParleyError =>
  failed(`${file} wrote more than ${maxOutputBytes} bytes`, 'serve it with more --max-output, or as a --stream', {
    program: file,
  })

const parse = (file: string, text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw failed(`${file} wrote something that is not JSON`, 'it has to write one JSON value to stdout', {
      program: file,
      output: text.slice(0, 200),
    })
  }
}

/** @returns the JSON value that it wrote; null for nothing @throws APP001, COM001, the signal's reason */
export const runSkillOnce = async (
  program: SkillProgram,
  input: unknown,
  options: SkillRunOptions,
): Promise<unknown> => {
  const { child, over, end } = start(program, input, options)
  const chunks: Buffer[] = []
  let bytes = 0
  child.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > program.maxOutputBytes) end(tooMuch(program.file, program.maxOutputBytes))
    else chunks.push(chunk)
  })
  await over
  const text = Buffer.concat(chunks).toString('utf8').trim()
  return text === '' ? null : parse(program.file, text)
}

/** Each line of its output is an item; it is read as fast as the items are taken. @throws as `runOnce` */
export async function* runSkillLines(program: SkillProgram, input: unknown, options: SkillRunOptions) {
  const { child, over, end } = start(program, input, options)
  let isOver = false
  try {
    let bytes = 0
    for await (const line of readInputLines(child.stdout, program.maxOutputBytes)) {
      bytes += line.length
      if (bytes > program.maxOutputBytes) throw tooMuch(program.file, program.maxOutputBytes)
      if (line.trim() !== '') yield parse(program.file, line)
    }
    isOver = true
    await over
  } finally {
    if (!isOver) end(new ParleyError('COM001', 'nobody reads any more', { hint: 'the caller left' }))
  }
}
