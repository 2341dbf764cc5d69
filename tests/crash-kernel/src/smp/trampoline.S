/* [1] From a start-up message to Rust: real mode, protected mode, 64-bit mode.
 *
 * On entry: copied to TRAMPOLINE, CS:IP at its first byte, the words at ap_trampoline_parameters
 *   filled; nothing else is known but that the processor has had an INIT.
 * On exit: on the trampoline's page tables, whose upper half is the kernel's; own stack; in
 *   smp::start::arrive, never to return.
 * Addresses are computed from TRAMPOLINE, since the linker has put this elsewhere.
 */
    .section .rodata.trampoline, "a", @progbits
    .global ap_trampoline, ap_trampoline_parameters, ap_trampoline_end
    .balign 16
ap_trampoline:
    .code16
    cli
    cld
    movw    %cs, %ax
    movw    %ax, %ds
    lgdtl   trampoline_gdtr - ap_trampoline
    movl    %cr0, %eax
    orl     ${CR0_PE}, %eax
    movl    %eax, %cr0
    ljmpl   $8, ${TRAMPOLINE} + protected_mode - ap_trampoline

    .code32
protected_mode:
    movl    $24, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    ${CR4_PAE}, %eax
    movl    %eax, %cr4
    movl    {TRAMPOLINE} + trampoline_cr3 - ap_trampoline, %eax
    movl    %eax, %cr3
    /* EFER before paging: the kernel's tables use the no-execute bit. */
    movl    ${EFER}, %ecx
    movl    {TRAMPOLINE} + trampoline_efer - ap_trampoline, %eax
    xorl    %edx, %edx
    wrmsr
    movl    ${CR0_PG} | {CR0_PE}, %eax
    movl    %eax, %cr0
    ljmpl   $16, ${TRAMPOLINE} + long_mode - ap_trampoline

    .code64
long_mode:
    movq    trampoline_stack(%rip), %rsp
    movq    trampoline_boot_cpu(%rip), %rdi
    xorl    %ebp, %ebp
    pushq   $0                          /* the return address that a called function has there */
    jmpq    *trampoline_entry(%rip)

    .balign 8
trampoline_gdt:
    .quad   0
    .quad   0x00cf9b000000ffff          /* 0x08: 32-bit code, flat */
    .quad   0x00af9b000000ffff          /* 0x10: 64-bit code */
    .quad   0x00cf93000000ffff          /* 0x18: data, flat */
trampoline_gdt_end:
trampoline_gdtr:
    .word   trampoline_gdt_end - trampoline_gdt - 1
    .long   {TRAMPOLINE} + trampoline_gdt - ap_trampoline

    /* smp::start::Parameters */
    .balign 8
ap_trampoline_parameters:
trampoline_cr3:
    .quad   0
trampoline_efer:
    .quad   0
trampoline_stack:
    .quad   0
trampoline_entry:
    .quad   0
trampoline_boot_cpu:
    .quad   0
ap_trampoline_end:
    .text
