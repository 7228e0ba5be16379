/**
 * How a command ends: exit codes, and errors as a person reads them.
 *
 * Every error is two lines on stderr, `error CODE: message` and `hint: what to do next`; with --json it is one line of JSON
 * there, `{"error":{"code","message","hint","exitCode"}}`.
 */
import { CommanderError } from 'commander'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import { escapeText } from '../../observe/log/log-fields.ts'

export const EXIT = { ok: 0, failure: 1, usage: 2, unreachable: 3, refused: 4 } as const

export const EXIT_HELP = `
Exit codes:
  0  done
  1  it failed: the agent answered with an error, a time ran out, a file or port is taken
  2  the command, an option or the input cannot be used
  3  no node or agent was found, or it cannot be reached
  4  refused: wrong or missing secret, or not allowed

Errors go to stderr: error CODE: MESSAGE and hint: WHAT TO DO, on a line each;
with --json one line {"error":{"code","message","hint","exitCode"}}.`

/** What to type before the name of a command: a package of this folder is found by npx alone, which says that it is it. */
export const TYPED_COMMAND = process.env.npm_command === 'exec' ? 'npx parley' : 'parley'

export const usageError = (message: string, hint: string): ParleyError => new ParleyError('MSG001', message, { hint })

/** Commander's messages, in the form of all the others. */
const fromCommander = (error: CommanderError): ParleyError => {
  const [first = '', ...rest] = error.message.split('\n')
  const suggestion = /Did you mean (.+)\?/.exec(rest.join(' '))?.[1]
  return usageError(
    first.replace(/^error: /, ''),
    suggestion === undefined
      ? 'parley --help and parley COMMAND --help list what there is'
      : `did you mean ${suggestion}?`,
  )
}

const asParley = (error: unknown): ParleyError => {
  if (isParleyError(error)) return error
  if (error instanceof CommanderError) return fromCommander(error)
  const message = error instanceof Error ? error.message : String(error)
  return new ParleyError('APP001', message, { hint: 'this was not foreseen; please report it with what you did' })
}

export const exitCodeOf = (error: unknown): number => {
  if (error instanceof CommanderError) {
    // No command, and help was shown for that: a usage error. Asked for: done.
    return error.code === 'commander.help' || error.exitCode !== 0 ? EXIT.usage : EXIT.ok
  }
  if (!isParleyError(error)) return EXIT.failure
  if (error.code.startsWith('SEC')) return EXIT.refused
  if (error.code === 'COM002' || error.code === 'COM004') return EXIT.unreachable
  if (error.code === 'STA001' && !error.remote) return EXIT.unreachable
  return error.code === 'MSG001' ? EXIT.usage : EXIT.failure
}

const NO_HINT = 'see the log of the node that answered'

/** The two lines. */
export const errorText = (error: unknown): string => {
  const { code, message, hint } = asParley(error)
  return `error ${code}: ${escapeText(message)}\nhint: ${escapeText(hint ?? NO_HINT)}\n`
}

/** The same for programs. */
export const errorJson = (error: unknown): string => {
  const { code, message, hint = NO_HINT } = asParley(error)
  return `${JSON.stringify({ error: { code, message, hint, exitCode: exitCodeOf(error) } })}\n`
}

/** Prints the error, unless it is one that has shown help instead. */
export const reportError = (error: unknown, json = false): number => {
  const shown = error instanceof CommanderError && /^commander\.(help|version)/.test(error.code)
  if (!shown) process.stderr.write(json ? errorJson(error) : errorText(error))
  return exitCodeOf(error)
}
