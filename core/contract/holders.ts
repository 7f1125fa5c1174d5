/** Who holds an image while something is done with it that is no machine's: not a name, so clients have words of their own for it. */
export const TASK_HOLDER = 'a disk command';
