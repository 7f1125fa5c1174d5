import { TASK_HOLDER } from '../contract/holders.ts';
import { type Saying, say } from '../util/say.ts';

/** Who has an image, as it is said: a machine's name, or a task. */
export const saidHolder = (holder: string): Saying | string => (holder === TASK_HOLDER ? say('holderTask') : holder);

/** What to do about it. */
export const fixHolder = (holder: string): Saying => (holder === TASK_HOLDER ? say('fixWaitTask') : say('fixStopHolder', { holder }));
