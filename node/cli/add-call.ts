/** `parley call`, registered. Keeps no state. */
import { type Command, Option } from 'commander'
import { addVisit, SECRETS } from './options.ts'
import { whole } from './values.ts'

export const addCall = (program: Command): void => {
  addVisit(
    program
      .command('call')
      .summary('call a method of an agent')
      .description('Joins the mesh for a moment, calls a method, and prints its results as lines of JSON.'),
  )
    .argument('<PROTOCOL.METHOD>', 'as in summarize.once; PROTOCOL@MAJOR.METHOD for another than the newest major')
    .argument('[JSON]', 'the input, - to read it from stdin (default: {})')
    .addOption(
      new Option('--to <name-or-id>', 'call this agent (default: the best of those that offer it)').conflicts('all'),
    )
    .option('--all', 'call all agents that offer it; each line is {peer,name,value} or {peer,name,error}')
    .option('--timeout <ms>', 'milliseconds until the call gives up', whole(1, 2 ** 31 - 1))
    .option('--json', 'one line for each result on a terminal too')
    .addHelpText('after', SECRETS)
    .action(async (name, input, options) => (await import('./call.ts')).call(name, input, options))
}
