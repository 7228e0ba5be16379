/** Runs a program that installs or builds something, within a limit. Keeps no state. */
import { spawn } from 'node:child_process'

const KEPT_CHARS = 2_000

export interface InstallTool {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env?: NodeJS.ProcessEnv
  readonly limitMs: number
  /** What of its words says why it failed. */
  why(said: string): string
}

/** @returns what it said when it failed, undefined when it did not */
export const runInstallTool = ({ command, args, cwd, env, limitMs, why }: InstallTool): Promise<string | undefined> => {
  const tool = spawn(command, args, {
    ...{ cwd, env: env ?? process.env },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  })
  let said = ''
  tool.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-KEPT_CHARS)
  })
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  tool.on('error', (error) => resolve(error.message))
  tool.on('close', (code, signal) => resolve(code === 0 ? undefined : `${signal ?? `exit ${code}`}: ${why(said)}`))
  return promise
}

/** Addresses of registries are nobody's business. */
export const withoutAddresses = (line: string): string => line.replace(/https?:\S+/g, 'the registry')
