import type { ErrorDto } from '../../../core/contract/errors.ts';

/** A failure as the manager would tell it. */
export class MockError extends Error {
  readonly dto: ErrorDto;
  constructor(dto: ErrorDto) {
    super(dto.message);
    this.dto = dto;
  }
}
