/** `parley tasks`, registered. */
import { type Command, Option } from 'commander'
import { TASK_STATUSES } from '../../../protocols/task/task-status.ts'
import { PRIORITIES } from '../../../protocols/wire/envelope.ts'
import { wholeNumber } from '../input/option-values.ts'
import { addNodeOptions } from './shared-options.ts'

const MAX_MS = 2 ** 31 - 1
const load = () => import('../commands/agreement/tasks-command.ts')
const loadSchedules = () => import('../commands/agreement/schedules-command.ts')

const registerSchedules = (add: (name: string, description: string) => Command): void => {
  add('schedule', 'Begins a task at each time of a schedule.')
    .argument('<ID>', 'of the schedule; its tasks are ID.<time>')
    .argument('<TYPE>', 'what kind of work it is')
    .argument('[JSON]', 'its input, - to read it from stdin; null unless given')
    .option('--cron <fields>', 'minute, hour, day of month, month, day of week')
    .option('--zone <name>', 'time zone of --cron, such as Europe/Berlin; UTC unless given')
    .option('--every <ms>', 'milliseconds between two of them', wholeNumber(1_000, MAX_MS))
    .option('--at <time>', 'once, such as 2026-11-25T03:00:00Z')
    .option('--until <time>', 'none after this time')
    .option('--misfire <rule>', 'of missed times: one, skip, or all:N; one unless given')
    .addOption(new Option('--overlap <rule>', 'while the one before is open').choices(['allow', 'skip']))
    .option('--type-version <version>', 'only workers that have this version')
    .addOption(new Option('--priority <priority>', 'how urgent its tasks are').choices(PRIORITIES))
    .option('--within <ms>', 'a task fails if it is not done by then', wholeNumber(1, MAX_MS))
    .option('--attempt-timeout <ms>', 'an attempt that takes longer has failed', wholeNumber(100, MAX_MS))
    .option('--require <name=units...>', 'what the worker of its tasks has to give them, such as cpu=2000')
    .option('--json', 'print one line {id}')
    .action(async (id, type, input, options) => (await loadSchedules()).makeSchedule(id, type, input, options))
  add('schedules', 'Lists what begins tasks by time.')
    .option('--wide', 'with rules and owners, however long the lines get')
    .option('--json', 'print a JSON array')
    .action(async (options) => (await loadSchedules()).listSchedules(options))
  for (const [name, action, description] of [
    ['unschedule', 'remove', 'Removes a schedule; tasks that it began go on.'],
    ['pause-schedule', 'pause', 'Has a schedule begin nothing for a while.'],
    ['resume-schedule', 'resume', 'Has a paused schedule go on.'],
  ] as const)
    add(name, description)
      .argument('<ID>', 'of the schedule')
      .option('--json', 'print one line {id}')
      .action(async (id, options) => (await loadSchedules()).controlSchedule(action, id, options))
}

export const registerTasks = (program: Command): void => {
  const group = program
    .command('tasks')
    .summary('work that is done once, whoever is lost')
    .description('Shows, submits and controls tasks, by a running node.')
  const add = (name: string, description: string): Command =>
    addNodeOptions(group.command(name).description(description)).option(
      '--timeout <ms>',
      'milliseconds until it gives up',
      wholeNumber(1, MAX_MS),
      30_000,
    )
  add('ls', 'Lists the open tasks, and those that ended a moment ago.')
    .addOption(new Option('--status <status>', 'only those in this state').choices(TASK_STATUSES))
    .option('--wide', 'whole ids, however long the lines get')
    .option('--json', 'print a JSON array')
    .action(async (options) => (await load()).listTasks(options))
  add('show', 'Shows a task, what it has recorded, what happened to it, and its result.')
    .argument('<TASK>', 'its id')
    .option('--wide', 'no wrapping, however long the lines get')
    .option('--json', 'print one line {task,recorded,history,children}')
    .action(async (id, options) => (await load()).showTask(id, options))
  add('submit', 'Submits a task.')
    .argument('<TYPE>', 'what kind of work it is')
    .argument('[JSON]', 'its input, - to read it from stdin; null unless given')
    .option('--id <id>', 'submitting it again with this id is the same task')
    .option('--type-version <version>', 'only workers that have this version')
    .addOption(new Option('--priority <priority>', 'how urgent it is').choices(PRIORITIES))
    .option('--within <ms>', 'it fails if it is not done by then', wholeNumber(1, MAX_MS))
    .option('--attempt-timeout <ms>', 'an attempt that takes longer has failed', wholeNumber(100, MAX_MS))
    .option('--require <name=units...>', 'what its worker has to give it, such as cpu=2000')
    .option('--after <task...>', 'tasks that must be completed first')
    .option('--wait', 'wait for its end, and print its result')
    .option('--json', 'print one line {id,status}; with --wait the task')
    .action(async (type, input, options) => (await load()).submitTask(type, input, options))
  for (const [name, description] of [
    ['pause', 'Ends the attempt in work; what it recorded stays.'],
    ['cancel', 'Ends a task for good.'],
  ] as const)
    add(name, description)
      .argument('<TASK>', 'its id')
      .option('--reason <text>', 'why, for whoever looks at it')
      .option('--json', 'print one line {id,status}')
      .action(async (id, options) => (await load()).controlTask(name, id, options))
  add('resume', 'Has a paused task go on from its last checkpoint.')
    .argument('<TASK>', 'its id')
    .option('--json', 'print one line {id,status}')
    .action(async (id, options) => (await load()).controlTask('resume', id, options))
  add('retry', 'Submits a task that failed, was canceled or rejected once more, as a new task.')
    .argument('<TASK>', 'its id')
    .option('--id <id>', 'of the new task; retrying with this id again is the same task')
    .option('--json', 'print one line {id,status}')
    .action(async (id, options) => (await load()).retryTask(id, options))
  add('provide', 'Gives a task what it waits for, such as the answer of a person.')
    .argument('<TASK>', 'its id')
    .argument('<NAME>', 'what it waits for, as `parley tasks show` tells')
    .argument('<JSON>', 'the value, - to read it from stdin')
    .option('--json', 'print one line {id,status}')
    .action(async (id, name, value, options) => (await load()).provide(id, name, value, options))
  registerSchedules(add)
  add('watch', 'Prints tasks, then each change, until Ctrl-C; of one task, until it has ended.')
    .argument('[TASK]', 'its id; all unless given')
    .option('--json', 'print lines of JSON {id,version,task}')
    .action(async (id, options) => (await load()).watchTasks(id, options))
}
