/** The main job as a program, on folders of a test; all of it goes when the test ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { programOf } from './program.ts'

/** Milliseconds that a worker is held before it is killed. */
export const HELD_MS = 300
const MAIN = programOf('examples/report/main.ts')
const folders: string[] = []
const running = new Set<ChildProcess>()

after(() => {
  for (const child of running) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

export const makeFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'parley-report-'))
  folders.push(folder)
  return folder
}

export const start = (args: string[]) => {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (data) => {
    output.stdout += data
  })
  child.stderr.on('data', (data) => {
    output.stderr += data
  })
  const exit = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => {
      running.delete(child)
      resolve(code)
    })
  })
  return { child, output, exit }
}

export const lastLine = (text: string): Record<string, unknown> => JSON.parse(text.trimEnd().split('\n').at(-1) ?? '')

/** Processes that were started by `parent` with this word on their command line. */
export const childrenOf = (parent: number, word: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const ppid = Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8'))?.[1])
        return ppid === parent && readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0').includes(word)
      } catch {
        return false
      }
    })
    .map(Number)

export const PROSE =
  'Agents talk to each other over streams. A mesh has no broker in the middle. Every peer proves who it is. '
