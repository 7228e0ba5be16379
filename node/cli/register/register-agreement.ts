/** `parley journal`, `resources`, `plan`, `coalition`, `budget`, `coordinator` and `leave`, registered. */
import { type Command, Option } from 'commander'
import { wholeNumber } from '../input/option-values.ts'
import { addJoinOptions, addNodeOptions, addNodeOrUrlOptions, SECRETS_HELP } from './shared-options.ts'

const MAX_MS = 2 ** 31 - 1

export const registerJournal = (program: Command): void => {
  const group = program
    .command('journal')
    .summary('records that the mesh agreed on')
    .description('Reads, writes and follows the records of the journal, by a running node.')
  const add = (name: string, description: string): Command =>
    addNodeOptions(group.command(name).description(description))
  const withLimit = (command: Command): Command =>
    command.option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, MAX_MS), 30_000)
  const ifVersion = ['--if-version <n>', 'only where this is its version; 0: where there is none'] as const

  withLimit(add('get', 'Prints the value of a record.'))
    .argument('<KEY>', 'as in config/limits')
    .option('--json', 'print one line {key,version,value}')
    .action(async (key, options) =>
      (await import('../commands/agreement/journal-records-command.ts')).getRecord(key, options),
    )
  withLimit(add('ls', 'Lists the records whose keys begin with PREFIX.'))
    .argument('[PREFIX]', "all but the mesh's own unless given; those begin with $")
    .option('--wide', 'no wrapping, however long the lines get')
    .option('--json', 'print a JSON array of {key,version,value}')
    .action(async (prefix, options) =>
      (await import('../commands/agreement/journal-records-command.ts')).listRecords(prefix, options),
    )
  withLimit(add('put', 'Writes a record.'))
    .argument('<KEY>', 'as in config/limits')
    .argument('<JSON>', 'the value, - to read it from stdin')
    .option(...ifVersion, wholeNumber(0, MAX_MS))
    .option('--json', 'print one line {key,version}')
    .action(async (key, value, options) =>
      (await import('../commands/agreement/journal-records-command.ts')).putRecord(key, value, options),
    )
  withLimit(add('rm', 'Deletes a record.'))
    .argument('<KEY>', 'as in config/limits')
    .option(...ifVersion, wholeNumber(0, MAX_MS))
    .option('--json', 'print one line {key,version,existed}')
    .action(async (key, options) =>
      (await import('../commands/agreement/journal-records-command.ts')).removeRecord(key, options),
    )
  add('watch', 'Prints the records, then each change as it is decided, until Ctrl-C.')
    .argument('[PREFIX]', 'of the keys; all unless given')
    .option('--from <version>', 'only changes after this version', wholeNumber(0, MAX_MS))
    .option('--count <n>', 'end after so many changes', wholeNumber(1, MAX_MS))
    .option('--json', 'print lines of JSON of type records and change')
    .action(async (prefix, options) =>
      (await import('../commands/agreement/journal-records-command.ts')).watchRecords(prefix, options),
    )
}

export const registerResources = (program: Command): void => {
  const group = program
    .command('resources')
    .summary('what nodes have to give, and who has what of it')
    .description('Shows what nodes have to give, and what of it is allocated, by a running node.')
  const load = () => import('../commands/agreement/resources-command.ts')
  const add = (name: string, description: string): Command =>
    addNodeOptions(group.command(name).description(description))
      .option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, MAX_MS), 30_000)
      .option('--wide', 'whole ids, however long the lines get')
      .option('--json', 'print a JSON array')
  add('ls', 'Lists what each node has, and how much of it is used.').action(async (options) =>
    (await load()).listResources(options),
  )
  add('allocations', 'Lists who waits for what, who has what, and what ended a moment ago.').action(async (options) =>
    (await load()).listAllocations(options),
  )
}

export const registerPlan = (program: Command): void => {
  const group = program
    .command('plan')
    .summary('plans: who does which task for which goal')
    .description('Shows plans, what happened to one and who has which of its tasks, by a running node.')
  const load = () => import('../commands/agreement/plan-command.ts')
  const add = (name: string, description: string): Command =>
    addNodeOptions(group.command(name).description(description))
      .option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, MAX_MS), 30_000)
      .option('--wide', 'whole ids, however long the lines get')
  add('ls', 'Lists the plans that are not over, and those that were over within the last hour.')
    .option('--json', 'print a JSON array')
    .action(async (options) => (await load()).listPlans(options))
  add('make', 'Makes one: a task of this type for each input.')
    .argument('<GOAL>', 'what is to be reached, for people')
    .argument('<TYPE>', 'what kind of work its tasks are')
    .argument('<INPUT...>', 'JSON, or - for standard input')
    .option('--id <id>', 'of the plan; a new one unless given')
    .option('--json', 'print one line of JSON')
    .action(async (goal, type, inputs, options) => (await load()).makePlan(goal, type, inputs, options))
  add('show', 'Shows one: its moves, and who has which task by which directive.')
    .argument('<ID>', 'of the plan')
    .option('--json', 'print one line of JSON')
    .action(async (id, options) => (await load()).showPlan(id, options))
  add('cancel', 'Ends one that this node made, and what is open of its tasks.')
    .argument('<ID>', 'of the plan')
    .option('--reason <text>', 'why, for people')
    .option('--json', 'print one line of JSON')
    .action(async (id, options) => (await load()).cancelPlan(id, options))
}

export const registerCoalition = (program: Command): void => {
  const group = program
    .command('coalition')
    .summary('coalitions: agents that pursue one goal together')
    .description('Shows, forms, leaves and dissolves coalitions of agents, by a running node.')
  const load = () => import('../commands/agreement/coalition-command.ts')
  const add = (name: string, description: string): Command =>
    addNodeOptions(group.command(name).description(description))
      .option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, MAX_MS), 30_000)
      .option('--wide', 'whole ids, however long the lines get')
  add('ls', 'Lists the coalitions that there are, and those that were dissolved within the last hour.')
    .option('--json', 'print a JSON array')
    .action(async (options) => (await load()).listCoalitions(options))
  add('form', 'Forms one, once its members have agreed.')
    .argument('<GOAL>', 'what it is to reach, for people')
    .argument('<MEMBER...>', 'names or peer ids, in the order in which they lead')
    .option('--id <id>', 'of the coalition; a new one unless given')
    .option('--leader <name-or-id>', 'one of them (default: the first one)')
    .option('--ttl <ms>', 'milliseconds until it is dissolved', wholeNumber(1, 86_400_000), 3_600_000)
    .option('--min <n>', 'so many have to agree (default: all)', wholeNumber(1, 64))
    .option('--json', 'print one line of JSON')
    .action(async (goal, members, options) => (await load()).formCoalition(goal, members, options))
  add('leave', 'Has the running node be in it no more.')
    .argument('<ID>', 'of the coalition')
    .option('--json', 'print one line {id}')
    .action(async (id, options) => (await load()).leaveCoalition(id, options))
  add('dissolve', 'Ends one that this node proposed or leads, or any where it holds the capability coordinate.')
    .argument('<ID>', 'of the coalition')
    .option('--reason <text>', 'why, for people')
    .option('--json', 'print one line {id}')
    .action(async (id, options) => (await load()).dissolveCoalition(id, options))
}

export const registerBudget = (program: Command): void => {
  const group = program
    .command('budget')
    .summary('what work may use up, and who has how much of it')
    .description('Shows budgets, and what was lent of them, by a running node.')
  const load = () => import('../commands/agreement/budget-command.ts')
  const add = (name: string, description: string): Command =>
    addNodeOptions(group.command(name).description(description))
      .option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, MAX_MS), 30_000)
      .option('--wide', 'whole ids, however long the lines get')
      .option('--json', 'print a JSON array')
  add('ls', 'Lists the budgets that there are, and those that ended a moment ago.').action(async (options) =>
    (await load()).listBudgets(options),
  )
  add('tree', 'Shows one budget with what was lent of it, and of that.')
    .argument('<ID>', 'of the budget')
    .action(async (id, options) => (await load()).showBudgetTree(id, options))
}

export const registerCoordinator = (program: Command): void => {
  const group = program
    .command('coordinator')
    .summary('who coordinates the mesh, and who votes')
    .description('Shows who coordinates the mesh and who votes, as a running node sees it, and hands over.')
  const view = (name: 'status' | 'voters' | 'history', description: string): void => {
    const command = addNodeOrUrlOptions(group.command(name).description(description))
    if (name !== 'status') command.option('--wide', 'whole ids, however long the lines get')
    command.option('--json', 'print JSON').action(async (options) => {
      const views = await import('../commands/agreement/coordinator-command.ts')
      const show = { status: views.showStatus, voters: views.showVoters, history: views.showHistory }
      await show[name](options)
    })
  }
  view('status', 'Shows who coordinates, in which epoch, and whether decisions are made.')
  view('voters', 'Shows who votes and who learns.')
  view('history', 'Shows who coordinated when.')
  addJoinOptions(
    group
      .command('transfer')
      .description('Has another voter coordinate from now on: by a running node, or with --join as a visitor.'),
  )
    .option('--to <name-or-id>', 'the voter that takes over (default: the one that is furthest)')
    .option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, MAX_MS), 10_000)
    .option('--json', 'print one line {epoch,leader,before}')
    .addHelpText('after', SECRETS_HELP)
    .action(async (options) => (await import('../commands/agreement/coordinator-command.ts')).transfer(options))
}

export const registerLeave = (program: Command): void => {
  program
    .command('leave')
    .summary('give the seat of a running node up for good')
    .description(
      'Has a running node give its seat up for good, so that the others decide without it; a stop keeps the seat.',
    )
    .addOption(new Option('--node <name>', 'its name, of those under .parley').conflicts('dataDir'))
    .option('--data-dir <dir>', 'its data directory')
    .option('--undo', 'it offers its seat again')
    .option('--mesh <name>', 'name of the mesh (default: that of the running node)')
    .option('--secret-file <file...>', 'file with the secret of the mesh, mode 0600; new and old while it is changed')
    .option('--allow-weak-secret', 'accept a short or written secret beyond this machine')
    .option('--timeout <ms>', 'milliseconds until it gives up', wholeNumber(1, MAX_MS), 30_000)
    .option('--json', 'print one line {peer,name,givenUp,voters}')
    .addHelpText('after', SECRETS_HELP)
    .action(async (options) => (await import('../commands/agreement/leave-command.ts')).leave(options))
}
