/**
 * One end of a measured system, in a process of its own: `end.ts SUITE SYSTEM ROLE`, started by processes.ts.
 *
 * It takes commands over the IPC channel, one answer each, and ends when told to stop or when the bench is gone, so
 * that nothing is left running after a bench that was killed.
 */
import { catalogue } from './catalogue.ts'
import { asCount, asText, field } from './input.ts'
import type { Command, Reply } from './processes.ts'
import type { Role, Verb } from './role.ts'
import { rolesOf } from './roles.ts'

const STOP_LIMIT_MS = 1_500

const verbs = new Map<string, Verb>()
let stopRole = async (): Promise<void> => {}

const start = async (input: unknown): Promise<unknown> => {
  const [suite = '', name = '', roleName = ''] = process.argv.slice(2)
  const role: Role | undefined = (await rolesOf(suite))?.[roleName]
  const entry = catalogue.get(name)
  if (role === undefined || entry === undefined) throw new Error(`cannot run ${suite} ${name} ${roleName}`)
  const acting = await role((await entry.load()).system, input)
  for (const [verb, run] of Object.entries(acting.verbs)) verbs.set(verb, run)
  stopRole = acting.stop
  return acting.hello
}
verbs.set('start', start)

const end = async (): Promise<never> => {
  setTimeout(() => process.exit(0), STOP_LIMIT_MS).unref()
  await stopRole().catch(() => {})
  process.exit(0)
}

const describe = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error))

const obey = async ({ id, verb, input }: Command): Promise<Reply> => {
  const run = verbs.get(verb)
  if (run === undefined) return { id, error: `this end knows no ${JSON.stringify(verb)}` }
  try {
    return { id, value: (await run(input)) ?? null }
  } catch (error) {
    return { id, error: describe(error) }
  }
}

process.on('disconnect', () => void end())
process.on('message', (message) => {
  const command = {
    id: asCount(field(message, 'id')),
    verb: asText(field(message, 'verb')),
    input: field(message, 'input'),
  }
  if (command.verb === 'stop') void end()
  else void obey(command).then((reply) => process.send?.(reply))
})
