/** Asking a person who sits at a terminal, and taking no answer for a no. */
import { createInterface } from 'node:readline/promises'

export interface TerminalPrompt {
  /** Somebody sits there, who sees what is asked. */
  readonly isInteractive: boolean
  /** What was typed, without spaces around it; undefined: it was left (Ctrl-C, Ctrl-D). */
  ask(question: string): Promise<string | undefined>
}

/** @param streams where is asked and answered */
export const createTerminalPrompt = (streams: {
  input: NodeJS.ReadableStream & { isTTY?: boolean }
  output: NodeJS.WritableStream & { isTTY?: boolean }
}): TerminalPrompt => ({
  isInteractive: streams.input.isTTY === true && streams.output.isTTY === true,
  async ask(question) {
    const lines = createInterface(streams)
    const left = new Promise<undefined>((resolve) => void lines.once('close', () => resolve(undefined)))
    try {
      return (await Promise.race([lines.question(question), left]))?.trim()
    } catch {
      // Ctrl-C.
      return undefined
    } finally {
      lines.close()
    }
  },
})

/** Results go to stdout, so that questions must not. */
export const processTerminalPrompt = (): TerminalPrompt =>
  createTerminalPrompt({ input: process.stdin, output: process.stderr })
